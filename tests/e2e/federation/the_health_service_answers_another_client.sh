#!/bin/sh
# The running server answers the standard gRPC health service to python's gRPC client, over TLS, without a client
# certificate: SERVING for the server and for its service, NOT_FOUND for another; a call of a method needs a certificate.
. "$(dirname "$0")/lib.sh"
# The distribution's python3 has the distribution's grpcio.
python=/usr/bin/python3
"$python" -c 'import grpc' 2>/dev/null || { say "skipped: no python3-grpcio"; exit 77; }
make_aggregator
"$python" - "$address" "$home/ca.pem" <<'PY'
import sys
import grpc

address, ca = sys.argv[1:]
channel = grpc.secure_channel(address, grpc.ssl_channel_credentials(open(ca, "rb").read()))
same = lambda data: data

def call(path, request):
    return channel.unary_unary(path, request_serializer=same, response_deserializer=same)(request, timeout=300)

check = "/grpc.health.v1.Health/Check"
assert call(check, b"") == b"\x08\x01", "the server is not SERVING"
name = b"fedtill.v1.Federation"
assert call(check, b"\x0a" + bytes([len(name)]) + name) == b"\x08\x01", "the service is not SERVING"
for path, request, code in (
    (check, b"\x0a\x04none", grpc.StatusCode.NOT_FOUND),
    ("/fedtill.v1.Federation/Sync", b"", grpc.StatusCode.UNAUTHENTICATED),
):
    try:
        call(path, request)
        raise AssertionError(f"{path} was answered")
    except grpc.RpcError as error:
        assert error.code() == code, f"{path}: {error.code()}, expected {code}"
PY
