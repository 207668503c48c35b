"""One worker of a parallel step: loads the entry script, then runs it on one mini batch after the other."""

import importlib.util
import inspect
import io
import json
import logging
import os
import re
import sys
import traceback
import types

TIME_PARTS = {"yyyy": "%Y", "MM": "%m", "dd": "%d", "HH": "%H", "mm": "%M", "ss": "%S"}


def load_items(message, config):
    """What `run` is given."""
    if "files" in message:
        return list(message["files"])
    return load_table(message, config)


def load_table(message, config):
    """A piece of a table as a DataFrame."""
    import pandas

    if "pickle" in message:
        return pandas.read_pickle(message["pickle"])
    if message.get("all") is not None:
        frames = [read_piece({"table": path}, config) for path in message["all"]]
        frame = pandas.concat(frames, ignore_index=True)
    else:
        frame = read_piece(message, config)
    return transform(frame, config["table"])


def read_piece(message, config):
    """A range of a file, or all of it, with the columns its path gives."""
    frame, table = read_range(message, config), config["table"]
    if table.get("path_column"):
        frame.insert(0, "Path", message["table"])
    for column, value in path_values(message["table"], table.get("partition_format") or "").items():
        frame[column] = value
    return frame


def path_values(path, pattern):
    """`/{store}/{day:yyyy-MM-dd}/*.csv`: text, or a time, out of a path."""
    import datetime

    names, places = [], []
    for number, part in enumerate(re.split(r"\{([^{}]+)\}", pattern)):
        if number % 2:
            name, _, form = part.partition(":")
            names.append((name, form))
            places.append("(%s)" % (re.sub("|".join(TIME_PARTS), lambda m: r"\d{%d}" % len(m[0]), form) or "[^/]+?"))
        else:
            places.append(re.escape(part).replace(r"\*", "[^/]*"))
    found = re.search("".join(places) + ("$" if "." in pattern.rpartition("/")[2] else "(?=/|$)"), path)
    if not found:
        raise ValueError("`%s` does not look like `%s`" % (path, pattern))
    values = {}
    for (name, form), text in zip(names, found.groups()):
        strptime = re.sub("|".join(TIME_PARTS), lambda m: TIME_PARTS[m[0]], form)
        values[name] = datetime.datetime.strptime(text, strptime) if form else text
    return values


def read_range(message, config):
    """The rows alone."""
    import pandas

    from tidemill_split import guess_reader, has_header

    path, table = message["table"], config["table"]
    reader = table.get("reader") or guess_reader(path)
    if reader == "parquet":
        return read_rows(path, message.get("rows"))
    with open(path, "rb") as file:
        head = file.readline() if has_header(reader, table) else b""
        start, end = message.get("from"), message.get("to")
        if start is not None:
            file.seek(start)
        body = file.read(end - start) if start is not None else file.read()
    if reader == "json_lines":
        return pandas.read_json(io.BytesIO(body), lines=True)
    return pandas.read_csv(
        io.BytesIO(head + body),
        sep=table.get("delimiter") or ("\t" if path.endswith(".tsv") else ","),
        header=0 if head else None,
        names=None if head else table.get("names"),
        encoding=table.get("encoding") or "utf-8",
    )


def read_rows(path, rows):
    """Rows of a Parquet file, reading only the row groups they lie in."""
    import pandas

    if rows is None:
        return pandas.read_parquet(path)
    from pyarrow.parquet import ParquetFile

    with ParquetFile(path) as file:
        groups, first, place = [], None, 0
        for number in range(file.metadata.num_row_groups):
            count = file.metadata.row_group(number).num_rows
            if place < rows[1] and place + count > rows[0]:
                groups.append(number)
                first = place if first is None else first
            place += count
        frame = file.read_row_groups(groups).to_pandas()
    return frame.iloc[rows[0] - first : rows[1] - first].reset_index(drop=True)


def transform(frame, table):
    """The columns a table's description keeps, with the types it gives them."""
    import pandas

    if table.get("keep"):
        frame = frame[table["keep"]]
    if table.get("drop"):
        frame = frame.drop(columns=table["drop"])
    for column, kind in (table.get("types") or {}).items():
        frame[column] = pandas.to_datetime(frame[column]) if kind == "datetime" else frame[column].astype(kind)
    return frame


def as_rows(result):
    """What `run` gave, as something that has a length."""
    if inspect.isgenerator(result):
        result = list(result)
    if hasattr(result, "to_csv") or isinstance(result, (list, tuple)):
        return result
    if hasattr(result, "tolist") and hasattr(result, "__len__"):
        return result.tolist()
    raise TypeError("run() must return a DataFrame, a list or a tuple, not %s" % type(result).__name__)


def as_text(rows, separator):
    """Lines to be appended: a DataFrame without names or index, anything else one item a line."""
    if hasattr(rows, "to_csv"):
        return rows.to_csv(header=False, index=False, sep=separator)
    return "".join("%s\n" % (row,) for row in rows)


class EntryScript:
    """What `azureml_user.parallel_run` offers to entry scripts."""

    def __init__(self):
        self.logger = logging.getLogger("entry_script")
        self.working_dir = os.getcwd()
        self.log_dir = os.path.join(self.working_dir, "logs")
        self.output_dir = os.environ.get("AZUREML_BI_OUTPUT_PATH", os.path.join(self.working_dir, "outputs"))


def offer_entry_script():
    """Let `from azureml_user.parallel_run import EntryScript` work."""
    package, module = types.ModuleType("azureml_user"), types.ModuleType("azureml_user.parallel_run")
    module.EntryScript = EntryScript
    package.parallel_run = module
    sys.modules.setdefault("azureml_user", package)
    sys.modules.setdefault("azureml_user.parallel_run", module)


def load_script(config):
    """The entry script as a module, seeing its own arguments and folder."""
    path = os.path.abspath(config["entry_script"])
    sys.argv = [path] + config["arguments"]
    sys.path.insert(0, os.path.dirname(path))
    name = os.path.splitext(os.path.basename(path))[0]
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def make_call(run):
    """`run` with or without its second parameter, the mini batch's context."""
    places = [
        p for p in inspect.signature(run).parameters.values()
        if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD, p.VAR_POSITIONAL)
    ]  # fmt: skip
    if len(places) > 1 and places[1].kind != places[1].VAR_POSITIONAL:
        return run
    return lambda items, context: run(items)


def make_context(message):
    """What a script may ask about its mini batch."""
    return types.SimpleNamespace(
        minibatch_index=message["index"],
        minibatch_id=message["index"],
        dataset_index=0,
        partition_key_value=message.get("keys"),
    )


def work(config, module, asked, answer):
    """Mini batch after mini batch, until there are no more."""
    run = make_call(module.run)
    for line in asked:
        message = json.loads(line)
        try:
            items = load_items(message, config)
            answer({"items": len(items)})
            rows = as_rows(run(items, make_context(message)))
            if config["append_to"]:
                keep(os.path.join(config["work"], "result-%d" % message["index"]), as_text(rows, config["separator"]))
        except Exception as exc:
            traceback.print_exc()
            answer({"error": "%s: %s" % (type(exc).__name__, exc)})
            continue
        answer({"returned": len(rows)})


def keep(path, text):
    """All of a result or nothing."""
    with open(path + ".part", "w", encoding="utf-8", newline="") as file:
        file.write(text)
    os.replace(path + ".part", path)


def main(config_file, ask_in, answer_out):
    """Get ready, say so, work, shut down."""
    with open(config_file) as file:
        config = json.load(file)
    pipe = os.fdopen(answer_out, "w", buffering=1)

    def answer(message):
        pipe.write(json.dumps(message) + "\n")

    logging.basicConfig(level=config["logging_level"])
    offer_entry_script()
    try:
        module = load_script(config)
        if hasattr(module, "init"):
            module.init()
    except Exception as exc:
        traceback.print_exc()
        answer({"error": "%s: %s" % (type(exc).__name__, exc)})
        return 1
    if not hasattr(module, "run"):
        answer({"error": "the script has no function `run(mini_batch)`"})
        return 1
    answer({"ready": True})
    with os.fdopen(ask_in) as asked:
        work(config, module, asked, answer)
    if hasattr(module, "shutdown"):
        module.shutdown()
    return 0


if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    sys.exit(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
