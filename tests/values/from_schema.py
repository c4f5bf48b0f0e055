"""Values that fit a JSON Schema, such as those of LM Studio's configuration keys."""

from hypothesis import strategies as st

MOST = 2**53 - 1  # beyond it whole numbers are none in JavaScript
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-MOST, MOST) | st.floats(-1e9, 1e9) | TEXTS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXTS, inner, max_size=2),
    max_leaves=4,
)


def values_of(schema):
    """A strategy for the values that a schema takes."""
    if not schema:
        return ANYTHING
    if "anyOf" in schema:
        return st.one_of([values_of(branch) for branch in schema["anyOf"]])
    if "const" in schema or "enum" in schema:
        return st.sampled_from(schema.get("enum") or [schema["const"]])
    return _BY_TYPE[schema["type"]](schema)


def _whole(schema):
    least = max(schema.get("minimum", -MOST), schema.get("exclusiveMinimum", -MOST) + 1)
    return st.integers(least, schema.get("maximum", MOST))


def _number(schema):
    least, most = schema.get("minimum", -1e9), schema.get("maximum", 1e9)
    return st.floats(least, most) | st.integers(round(least), round(most))


def _text(schema):
    return TEXTS.filter(lambda text: len(text) >= schema.get("minLength", 0))


def _array(schema):
    items = schema["items"]
    if isinstance(items, list):
        return st.tuples(*map(values_of, items)).map(list)
    return st.lists(values_of(items), max_size=3)


def _object(schema):
    properties = {name: values_of(inner) for name, inner in schema.get("properties", {}).items()}
    needed = {name: properties.pop(name) for name in schema.get("required", ())}
    if properties or needed:
        return st.fixed_dictionaries(needed, optional=properties)
    names = values_of(schema.get("propertyNames", {"type": "string"}))
    return st.dictionaries(names, values_of(schema["additionalProperties"]), max_size=3)


_BY_TYPE = {
    "boolean": lambda _: st.booleans(),
    "integer": _whole,
    "number": _number,
    "string": _text,
    "array": _array,
    "object": _object,
}
