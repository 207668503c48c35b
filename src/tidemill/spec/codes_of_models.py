"""TM-X…: the wrong model, a stale one, an untested one, or one that is fed otherwise than it learnt."""

from __future__ import annotations

from tidemill.spec.code import WARNING, Code

ROWS = (
    Code("TM-X06", WARNING, "One version's file in the newest release", "The newest release is asked for a file whose name holds one version's number.", "The next release calls it otherwise: the update stops, often without a word.", "Look for a pattern, and fail when nothing matches it.", 'next(a for a in assets if re.fullmatch(r"model-.*\\.zip", a["name"]))'),
    Code("TM-X09", WARNING, "A model of any name", "The first or last of all models of the workspace is taken.", "Whatever somebody registers next is deployed in this model's place.", "Ask for the model by its name, and fail when there is none.", "az ml model show -n digits --label latest"),
    Code("TM-X12", WARNING, "Old environment or component kept", "An environment or component is registered under a version that does not change with it.", "Changed packages or code are ignored: training goes on with the old.", "Take the version from the content or the run; without one, Tidemill does the first.", 'az ml component create -f c.yml --set version="$GITHUB_RUN_NUMBER"'),
    Code("TM-X17", WARNING, "Path called after an input", "A path holds `INPUT_<name>`, which Azure ML makes of an input of the registering component.", "Rename that input, and the server finds no model.", "Look for the model below its folder, or copy it to a place of your own. Tidemill's servers do the first.", 'model = next(Path("model").rglob("*.keras"))'),
    Code("TM-X20", WARNING, "Columns picked by annotation", "Serving scales the columns whose annotation in its schema is a number; training chose them otherwise.", "An `int` turned `bool`, or another order, and every prediction is wrong without an error.", "Keep the columns with the model: one pipeline that prepares and predicts, or the scaler's own list.", "columns = list(scaler.feature_names_in_)"),
    Code("TM-X22", WARNING, "Another grey than the model's", "The browser averages red, green and blue; image libraries weigh them 0.299, 0.587, 0.114.", "The model sees other pixels than it learnt from.", "Send the image and prepare it in Python with training's own code, or weigh the colours.", "grey = 0.299 * r + 0.587 * g + 0.114 * b"),
    Code("TM-X23", WARNING, "Test data nobody looks at", "A test set is split off and never used.", "There is no metric: nothing can tell a good model from a bad one, and a gate never opens.", "Score the model on it and log the metric.", 'mlflow.log_metric("accuracy", model.score(x_test, y_test))'),
    Code("TM-X53", WARNING, "Guide and route disagree", "A guide sends an object to a route that takes the body as it comes, and no code reads the object's key.", "Who follows the guide gets an error.", "Declare the body as a type, so that code and guide cannot differ.", "class Digit(BaseModel):\n    pixels: list[float]"),
)  # fmt: skip
