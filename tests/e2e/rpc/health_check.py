"""Ask the health service as any gRPC client would: health_check.py TARGET CA_FILE SERVICE -> the code and status."""
import sys

import grpc

target, ca_file, service = sys.argv[1:4]
with open(ca_file, "rb") as f:
    credentials = grpc.ssl_channel_credentials(root_certificates=f.read())
# The two messages by hand: field 1 is the name (a string), field 1 of the answer the status (a varint).
name = service.encode()
request = b"\x0a" + bytes([len(name)]) + name if name else b""
with grpc.secure_channel(target, credentials) as channel:
    identity = lambda data: data
    try:
        check = channel.unary_unary("/grpc.health.v1.Health/Check", identity, identity)
        print("OK", check(request, timeout=300).hex())
    except grpc.RpcError as error:
        print(error.code().name)
    watch = channel.unary_stream("/grpc.health.v1.Health/Watch", identity, identity)
    print(next(iter(watch(request, timeout=300))).hex())
with grpc.secure_channel(target, credentials, compression=grpc.Compression.Gzip) as channel:
    check = channel.unary_unary("/grpc.health.v1.Health/Check", identity, identity)
    try:
        # A name that compresses well, or gRPC sends it as it is.
        print("OK", check(b"\x0a\x64" + b"a" * 100, timeout=300).hex())
    except grpc.RpcError as error:
        print(error.code().name)
