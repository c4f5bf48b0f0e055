"""Looks whether a server is there before it uses it."""

import sys

import lmstudio as lms

print(lms.Client.is_valid_api_host(sys.argv[1]), lms.Client.is_valid_api_host("127.0.0.1:9"))
with lms.Client(sys.argv[1]) as client:
    print(client.api_host == sys.argv[1])
try:
    with lms.Client("127.0.0.1:9") as client:
        pass
except lms.LMStudioClientError as error:
    print("not reachable" in str(error), "127.0.0.1:9" in str(error))
