"""An agent whose chat grows over two turns, calls and results included."""

import sys

import lmstudio as lms


def temperature(city: str) -> float:
    """Tell the temperature in a city, in degrees Celsius."""
    return {"Bergen": 7.5, "Málaga": 24.0}[city]


def wind(city: str) -> str:
    """Tell the wind in a city."""
    return f"weak in {city}"


with lms.Client(sys.argv[1]) as client:
    model = client.llm.model()
    chat = lms.Chat("You are a weather service.")
    for question in ("How is it in Bergen?", "And in Málaga?"):
        chat.add_user_message(question)
        result = model.act(chat, [temperature, wind], on_message=chat.append)
        print(result.rounds)
    print(chat)
    again = chat.copy()
    again.add_user_message("Thank you.")
    print(model.respond(again))
    print(model.apply_prompt_template(again).count("weather service"))
