"""A reply that fits a class of the package's BaseModel."""

import sys

import lmstudio as lms


class BookSchema(lms.BaseModel):
    title: str
    author: str
    year: int


lms.configure_default_client(sys.argv[1])
result = lms.llm().respond("Tell me about The Hobbit", response_format=BookSchema)
book = result.parsed
print(sorted(book), [type(book[key]).__name__ for key in sorted(book)])
stream = lms.llm().respond_stream("Tell me about The Hobbit", response_format=BookSchema)
text = "".join(fragment.content for fragment in stream)
print(stream.result().parsed == __import__("json").loads(text))
print(sorted(BookSchema.model_json_schema()["properties"]))
print(sorted(BookSchema.model_json_schema()["required"]))
