#!/usr/bin/env python3
"""A TCP relay on loopback that is as bad as a shop's line: poor_link.py LISTEN TARGET [fault...] --log FILE

  --delay-ms N       each piece arrives that much later
  --rate N           bytes a second each way
  --cut MIN MAX      a connection is reset after a time between MIN and MAX seconds
  --half-open S      after S seconds a connection carries nothing more, without being closed; the next one works
  --proxy            speak HTTP CONNECT first; whatever name is asked for is TARGET
  --listen-host H    listen there instead of 127.0.0.1
  --seed N           of the times

LISTEN 0 is any free port. Each event is a line of FILE: ready PORT, open, cut, half-open, refused, or bytes N after a connection. Ends with SIGTERM.
"""
import argparse
import asyncio
import random
import struct
import socket

p = argparse.ArgumentParser()
p.add_argument("listen", type=int)
p.add_argument("target", type=int)
p.add_argument("--listen-host", default="127.0.0.1")
p.add_argument("--delay-ms", type=float, default=0)
p.add_argument("--rate", type=float, default=0)
p.add_argument("--cut", type=float, nargs=2)
p.add_argument("--half-open", type=float)
p.add_argument("--proxy", action="store_true")
p.add_argument("--seed", type=int, default=1)
p.add_argument("--log", required=True)
args = p.parse_args()
chance = random.Random(args.seed)
log = open(args.log, "a", buffering=1)
half_opened = False


def reset(writer):
    """RST instead of FIN: what a cut line looks like once something is sent."""
    sock = writer.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def carry(reader, writer, silent, counts):
    loop = asyncio.get_running_loop()
    queue = asyncio.Queue(maxsize=64)

    async def deliver():
        while True:
            at, data = await queue.get()
            await asyncio.sleep(max(0, at - loop.time()))
            if data is None:
                writer.write_eof()
                return
            if silent.is_set():
                continue
            counts[0] += len(data)
            writer.write(data)
            await writer.drain()

    async def collect():
        while True:
            data = await reader.read(16384)
            if args.rate:
                await asyncio.sleep(len(data) / args.rate)
            await queue.put((loop.time() + args.delay_ms / 1000, data or None))
            if not data:
                return

    await asyncio.gather(deliver(), collect())


async def connection(reader, writer):
    global half_opened
    silent, counts, tasks, upstream = asyncio.Event(), [0], [], None
    try:
        if args.proxy:
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
            words = head.split(b"\r\n")[0].split()
            if len(words) != 3 or words[0] != b"CONNECT":
                log.write("refused\n")
                writer.write(b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n")
                return
            log.write("connect " + words[1].decode("latin-1") + "\n")
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        upstream_reader, upstream = await asyncio.open_connection("127.0.0.1", args.target)
        log.write("open\n")
        tasks = [asyncio.ensure_future(carry(reader, upstream, silent, counts)),
                 asyncio.ensure_future(carry(upstream_reader, writer, silent, counts))]
        if args.cut:
            tasks.append(asyncio.ensure_future(asyncio.sleep(chance.uniform(*args.cut))))
        elif args.half_open and not half_opened:
            half_opened = True
            await asyncio.wait(tasks, timeout=args.half_open, return_when=asyncio.FIRST_COMPLETED)
            silent.set()
            log.write("half-open\n")
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if args.cut and tasks[2] in done:
            log.write("cut\n")
    except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.TimeoutError):
        log.write("refused\n")
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for one in (writer, upstream):
            if one is not None:
                reset(one)
        log.write(f"bytes {counts[0]}\n")


async def main():
    server = await asyncio.start_server(connection, args.listen_host, args.listen)
    log.write(f"ready {server.sockets[0].getsockname()[1]}\n")
    async with server:
        await server.serve_forever()


asyncio.run(main())
