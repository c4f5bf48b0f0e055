"""Tools that are described by hand, for functions that do not describe themselves."""

import sys

import lmstudio as lms

STOCK = {"apple": 3, "pear": 0}


def change(item, count=1, **more):
    STOCK[item] = STOCK.get(item, 0) + count
    return {"item": item, "count": STOCK[item], **more}


def list_stock() -> list[str]:
    """List what there is."""
    return sorted(item for item, count in STOCK.items() if count > 0)


buy = lms.ToolFunctionDef(
    name="buy",
    description="Buy items.",
    parameters={"item": str, "count": {"type": int, "default": 1}, "from": str | None},
    implementation=change,
)
sell = {
    "name": "sell",
    "description": "Sell items.",
    "parameters": {"item": str, "count": {"type": int, "default": 1}},
    "implementation": lambda item, count: change(item, -count),
}
listing = lms.ToolFunctionDef.from_callable(
    list_stock, name="stock", description="Tell what is in stock."
)
results = []


def collect(message):
    if isinstance(message, lms.ToolResultMessage):
        results.extend(sorted(part.content for part in message.content))


with lms.Client(sys.argv[1]) as client:
    model = client.llm.model()
    print(model.act("Buy pears.", [buy, sell, listing], on_message=collect).rounds)
    print(*results, sep="\n")
    print(STOCK)
    print(buy.name, buy.description, sorted(buy.parameters), listing.name, listing.parameters)
    for tools in ([buy, buy], [{**sell, "implementation": change, "name": "buy"}, buy]):
        try:
            model.act("Hi", tools)
        except lms.LMStudioValueError as error:
            print("refused", isinstance(error, ValueError))
    try:
        lms.ToolFunctionDef.from_callable(lambda: None, name="nothing")
    except lms.LMStudioValueError:
        print("no description")
