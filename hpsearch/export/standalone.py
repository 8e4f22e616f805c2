"""A trained network, or several that vote, in need of Python and NumPy and nothing else.

    python model.py table.csv > predictions.csv

or, in a program, predict({"column": [values, ...], ...}). Columns have the names of the table that it was trained on;
None, NaN and empty texts are missing values.
"""

import base64
import contextlib
import csv
import datetime as dt
import json
import math
import re
import sys

import numpy as np

MODEL = json.loads("null")  # all that the network knows: put in when it is exported
MISSING = ("", "NA", "N/A", "nan", "NaN", "-nan", "null", "NULL", "None", "?")
CLIP = 3.0
LARGEST = 1e30
NORM_EPSILON = 1e-5
SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772


def predict(columns):
    """Predict rows.

    Args:
        columns: by name the values of each column, all of one length.

    Returns:
        For classes the predicted class of each row and the probabilities (rows, classes), in the order of classes();
        for values the predictions (rows,) and None.
    """
    for column in MODEL["columns"]:
        if column["name"] not in columns:
            raise ValueError(f"column {column['name']!r} is missing, the model needs it")
    features = np.concatenate([ENCODERS[c["kind"]](c, columns[c["name"]]) for c in MODEL["columns"]], axis=1)
    outputs = sum(
        one["votes"] * network(one, normalised(MODEL["normalizers"][one["normalize"]], features))
        for one in MODEL["networks"]
    ) / sum(one["votes"] for one in MODEL["networks"])
    if not MODEL["classes"]:
        return outputs[:, 0] * MODEL["sd"] + MODEL["mean"], None
    return [MODEL["classes"][k] for k in outputs.argmax(1).tolist()], outputs


def classes():
    """The classes in the order of the probabilities; nothing for values."""
    return MODEL["classes"]


def is_missing(value):
    """Whether a value is not there."""
    return (
        value is None
        or (isinstance(value, float) and not math.isfinite(value))
        or (isinstance(value, str) and value.strip() in MISSING)
    )


def number(value):
    """A number, NaN where it is missing."""
    if is_missing(value):
        return math.nan
    words = {"true": 1.0, "t": 1.0, "yes": 1.0, "y": 1.0, "false": 0.0, "f": 0.0, "no": 0.0, "n": 0.0}
    return float(words.get(value.strip().lower(), value)) if isinstance(value, str) else float(value)


def text(value):
    """A value as the text of a category."""
    if isinstance(value, (bool, np.bool_)):
        return str(bool(value)).lower()
    if isinstance(value, (float, np.floating)):
        return str(int(value)) if value == round(value) and abs(value) < 1e15 else repr(float(value))
    return str(value)


def numeric(column, values):
    """A number, the median where it is missing, and a mark for that."""
    numbers = np.array([number(value) for value in values])
    missing = ~np.isfinite(numbers)
    known = np.where(missing, column["fill"], numbers) - column.get("origin", 0.0)
    features = [np.clip(known, -LARGEST, LARGEST)]
    return np.stack(features + [missing.astype(float)] * column["marked"], axis=1)


def category(column, values):
    """A column for each level, one for others, one for missing values, where training had such."""
    levels = {level: k for k, level in enumerate(column["levels"])}
    by_number = {as_number(level): k for level, k in levels.items() if as_number(level) is not None}
    truths = levels.keys() <= {"true", "false"}  # which a file may write otherwise
    features = np.zeros((len(values), len(levels) + column["other"] + column["marked"]))
    for row, value in enumerate(values):
        if is_missing(value):
            if column["marked"]:
                features[row, -1] = 1.0
            continue
        word = text(value).lower() if truths else text(value)
        place = levels.get(word, by_number.get(as_number(value)))
        if place is not None:
            features[row, place] = 1.0
        elif column["other"]:
            features[row, len(levels)] = 1.0
    return features


def as_number(value):
    """A value as a number, None where it is none."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def date(column, values):
    """Days since 1970, month, weekday, hour: those that varied in training, and a mark for missing values."""
    moments = [moment(value, column["format"]) for value in values]
    missing = np.array([moment is None for moment in moments])
    known = np.array([np.datetime64(0, "us") if moment is None else moment for moment in moments], "datetime64[us]")
    days = (known - np.datetime64(0, "us")) / np.timedelta64(1, "D")
    whole = np.floor(days)
    parts = {
        "days": days,
        "month": known.astype("datetime64[M]").astype(int) % 12 + 1,
        "weekday": (whole + 3) % 7 + 1,
        "hour": np.floor((days - whole) * 1440 + 1e-6) / 60,
    }
    features = [np.where(missing, fill, parts[part]) for part, fill in zip(column["parts"], column["fills"])]
    return np.stack(features + [missing.astype(float)] * column["marked"], axis=1)


def moment(value, written):
    """A date and time; written: how texts look, as for strptime, nothing for ISO dates."""
    if is_missing(value):
        return None
    if written and isinstance(value, str):
        with contextlib.suppress(ValueError):
            return np.datetime64(dt.datetime.strptime(value.strip(), written), "us")
    return np.datetime64(str(value).strip().rstrip("Z"), "us")


ENCODERS = {"numeric": numeric, "boolean": numeric, "category": category, "date": date}


def normalised(scale, features):
    """Features on the scale of the training rows."""
    z = features.astype(np.float32).astype(float)
    if "source" in scale:
        z = z[:, scale["source"]]
    z = (z - np.array(scale["shift"])) / np.array(scale["scale"])
    if scale["kind"] == "robust_clip":
        touched = np.array(scale["numeric"])
        z[:, touched] /= np.sqrt(1 + (z[:, touched] / CLIP) ** 2)
    z = np.clip(z, scale.get("low", -LARGEST), scale.get("high", LARGEST))
    return z.astype(np.float32).astype(float)


def network(one, a):
    """The outputs of a network for inputs (rows, features)."""
    layers = one["layers"]
    for l, layer in enumerate(layers):
        z = a @ array(layer["weight"])
        if "gain" in layer:
            z = (z - array(layer["mean"])) / np.sqrt(array(layer["variance"]) + NORM_EPSILON) * array(layer["gain"])
        z = z + array(layer["bias"])
        a = ACTIVATIONS[one["activation"]](z) if l < len(layers) - 1 else z
    if not MODEL["classes"]:
        return a
    if one["output"] == "logistic":
        support = sigmoid(a)
        return support / support.sum(axis=1, keepdims=True)
    e = np.exp(a - a.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def array(stored):
    """An array out of its shape and the base64 of its float32 numbers."""
    return np.frombuffer(base64.b64decode(stored["data"]), "<f4").reshape(stored["shape"]).astype(float)


def sigmoid(z):
    """1 / (1 + e^-z) without overflow."""
    e = np.exp(-np.abs(z))
    return np.where(z >= 0, 1, e) / (1 + e)


def softplus(z):
    """log(1 + e^z) without overflow."""
    return np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))


ACTIVATIONS = {
    "identity": lambda z: z,
    "sigmoid": sigmoid,
    "tanh": np.tanh,
    "relu": lambda z: np.maximum(z, 0),
    "leaky_relu": lambda z: np.where(z > 0, z, 0.01 * z),
    "elu": lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0))),
    "selu": lambda z: SELU_SCALE * np.where(z > 0, z, SELU_ALPHA * np.expm1(np.minimum(z, 0))),
    "softplus": softplus,
    "gelu": lambda z: z * (1 + np.vectorize(math.erf, [float])(z / math.sqrt(2))) / 2,
    "silu": lambda z: z * sigmoid(z),
    "mish": lambda z: z * np.tanh(softplus(z)),
}


def read(path):
    """The columns of a CSV file, by name, as texts. Commas, semicolons, tabs or bars are between its cells."""
    with open(path, newline="", encoding="utf-8-sig") as file:
        header = re.sub(r'"[^"]*("|$)', "", next((line for line in file if line.strip()), ""))
        file.seek(0)
        between = max(",;\t|", key=header.count)
        rows = csv.reader(file, delimiter=between)
        names = [name.strip() for name in next((row for row in rows if row), [])]
        cells = []
        for row in rows:
            if row and len(row) != len(names):
                raise ValueError(f"line {rows.line_num} has {len(row)} cells, the header has {len(names)}")
            cells += [[cell.strip() for cell in row]] if row else []
    columns = {name: [row[place] for row in cells] for place, name in enumerate(names)}
    return {name: pointed(column) for name, column in columns.items()} if between == ";" else columns


def pointed(column):
    """Numbers with a decimal comma as numbers with a point, where a column holds nothing else."""
    comma = all(is_missing(cell) or re.fullmatch(r"[-+]?\d+(,\d+)?", cell) for cell in column)
    return [cell.replace(",", ".") for cell in column] if comma else column


def write(columns):
    """Predictions of the rows in these columns, as CSV on standard output."""
    predictions, shares = predict(columns)
    writer = csv.writer(sys.stdout)
    writer.writerow(["prediction", *(f"p_{name}" for name in classes())])
    for row, prediction in enumerate(predictions):
        writer.writerow([prediction, *(shares[row].tolist() if shares is not None else [])])


def main():
    """Read a CSV file, write predictions to standard output."""
    if len(sys.argv) != 2 or sys.argv[1] in ("-h", "--help"):
        raise SystemExit("usage: python model.py table.csv > predictions.csv")
    try:
        write(read(sys.argv[1]))
    except BrokenPipeError:
        sys.stderr.close()  # whoever read has seen enough
    except (OSError, ValueError) as error:
        raise SystemExit(f"{sys.argv[1]}: {error}") from None


if __name__ == "__main__":
    main()
