"""Mini batches of a parallel step: files, rows or keys, each as what a worker needs to load it.

Standard library only, except where tables are split: it runs in whatever environment the step has.
"""

import glob
import os


class Refused(Exception):
    """The step cannot go on; the text says why."""


def split(config):
    """Every mini batch, as what a worker needs to load it."""
    if config["kind"] == "files":
        files = list_files(config)
        if config["partition_keys"]:
            return list(split_by_folders(files, config["partition_keys"]))
        size = config["batch_files"]
        return [{"files": files[i : i + size]} for i in range(0, len(files), size)]
    if config["partition_keys"]:
        return split_by_keys(config)
    return [chunk for path in list_files(config) for chunk in split_table(path, config)]


def list_files(config):
    """Every file of the input, sorted; hidden ones and a table's own description are left out."""
    found = []
    for pattern in config["paths"]:
        for path in sorted(glob.glob(pattern, recursive=True)) if glob.has_magic(pattern) else [pattern]:
            if os.path.isfile(path):
                found.append(path)
                continue
            for folder, folders, names in os.walk(path, followlinks=True):
                folders[:] = sorted(n for n in folders if not n.startswith("."))
                found += [os.path.join(folder, n) for n in sorted(names) if not n.startswith(".") and n != "MLTable"]
    return list(dict.fromkeys(found))


def split_by_folders(files, keys):
    """Files whose paths say `key=value` with the same values belong together."""
    groups = {}
    for path in files:
        known = dict(part.split("=", 1) for part in path.split(os.sep) if "=" in part)
        missing = [key for key in keys if key not in known]
        if missing:
            raise Refused("`%s` lies in no folder called `%s=…`, which `partition_keys` asks for" % (path, missing[0]))
        groups.setdefault(tuple(known[key] for key in keys), []).append(path)
    for values, members in sorted(groups.items()):
        yield {"files": members, "keys": dict(zip(keys, values))}


def split_by_keys(config):
    """Rows with the same values of the keys, kept in files of their own until a worker takes them."""
    import pandas
    import tidemill_worker

    whole = {"table": None, "all": list_files(config)}
    frame = tidemill_worker.load_table(whole, config)
    missing = [key for key in config["partition_keys"] if key not in frame.columns]
    if missing:
        raise Refused("The table has no column `%s`, only: %s" % (missing[0], ", ".join(map(str, frame.columns))))
    chunks = []
    part, parts = config.get("part", (0, 1))
    for number, (values, group) in enumerate(frame.groupby(list(config["partition_keys"]), sort=True)):
        path = os.path.join(config["work"], "part-%d.pkl" % number)
        if number % parts == part:  # the others' are written by the others
            group.reset_index(drop=True).to_pickle(path)
        values = values if isinstance(values, tuple) else (values,)
        plain = [v.item() if hasattr(v, "item") else v for v in values]
        chunks.append({"pickle": path, "keys": dict(zip(config["partition_keys"], map(_plain, plain)))})
    del pandas
    return chunks


def _plain(value):
    return value if isinstance(value, (str, int, float, bool)) else str(value)


def split_table(path, config):
    """Pieces of about so many bytes: whole lines of text, row groups of Parquet."""
    reader = config["table"].get("reader") or guess_reader(path)
    if reader == "parquet":
        return split_parquet(path, config["batch_bytes"])
    return split_lines(
        path, config["batch_bytes"], quoted=reader == "delimited", skip=has_header(reader, config["table"])
    )


def guess_reader(path):
    """How to read a table by its name."""
    lower = path.lower()
    if lower.endswith((".parquet", ".pq")):
        return "parquet"
    return "json_lines" if lower.endswith((".jsonl", ".ndjson", ".json")) else "delimited"


def has_header(reader, table):
    """Whether the first line names the columns."""
    return reader == "delimited" and table.get("header", True)


def split_lines(path, size, quoted, skip):
    """Byte ranges that end where a line does, not inside quotes; the header belongs to none."""
    with open(path, "rb") as file:
        start = place = len(file.readline()) if skip else 0
        inside = False
        for line in file:
            place += len(line)
            if quoted and line.count(b'"') % 2:
                inside = not inside
            if not inside and place - start >= size:
                yield {"table": path, "from": start, "to": place}
                start = place
        if place > start:
            yield {"table": path, "from": start, "to": place}


def split_parquet(path, size):
    """Ranges of rows of about so many bytes; without pyarrow the file is one piece."""
    try:
        from pyarrow.parquet import ParquetFile
    except ImportError:
        yield {"table": path, "rows": None}
        return
    with ParquetFile(path) as file:
        about = file.metadata
        whole = sum(about.row_group(n).total_byte_size for n in range(about.num_row_groups))
        rows = max(1, int(about.num_rows * size / max(1, whole)))
        for start in range(0, about.num_rows, rows):
            yield {"table": path, "rows": [start, min(about.num_rows, start + rows)]}
