"""The limit of silence, set for all calls."""

import sys

import lmstudio as lms

print(lms.get_sync_api_timeout())
lms.set_sync_api_timeout(30)
print(lms.get_sync_api_timeout())
with lms.Client(sys.argv[1]) as client:
    print(client.llm.model().respond("hi"))
lms.set_sync_api_timeout(None)
print(lms.get_sync_api_timeout())
