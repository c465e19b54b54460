"""Sends a call from a fuzzer's report again:

  SIMVISORD=... SIMVISOR=... python3 replay.py ADDRESS /SERVICE/METHOD BASE64...

Each BASE64 is the bytes of one request.  Prints each response, or the error.
"""

import base64
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.dirname(HERE), os.path.dirname(os.path.dirname(HERE))]

from fuzz import reflection  # noqa: E402
from harness import DEADLINE, grpc, reason_of  # noqa: E402


def main(address, path, *texts):
    channel = grpc.insecure_channel(address)
    [method] = [one for one in reflection.methods(channel) if one.path == path]
    kind = (f"{'stream' if method.client_streaming else 'unary'}_"
            f"{'stream' if method.server_streaming else 'unary'}")
    requests = [base64.b64decode(text) for text in texts]
    for raw in requests:
        try:
            print("request:", method.request.FromString(raw))
        except Exception as error:  # it may have been garbage
            print("request:", raw, error)
    call = getattr(channel, kind)(
        path, response_deserializer=method.response.FromString)
    try:
        answer = call(iter(requests) if method.client_streaming
                      else requests[0], timeout=DEADLINE)
        for response in answer if method.server_streaming else [answer]:
            print("response:", response)
    except grpc.RpcError as error:
        print(error.code().name, reason_of(error), error.details())


if __name__ == "__main__":
    main(*sys.argv[1:])
