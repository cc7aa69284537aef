#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""
The way to a target on this machine: passes on what comes to a port of 127.0.0.1, counts it, and can make it late.

Usage: tests/target/wire.py PORT TO_PORT FILE [MILLISECONDS]

FILE is written anew whenever something has passed: bytes sent, bytes received, and turns, which are the times that the
client said something after it had heard something. MILLISECONDS are added to each round trip, one half to each way.
"""

import asyncio
import os
import sys


class Counters:
    def __init__(self, path):
        self.path, self.passed, self.turns, self.last = path, {'sent': 0, 'received': 0}, 0, None

    def add(self, way, size):
        self.passed[way] += size
        if way == 'sent' and self.last != 'sent':
            self.turns += 1
        self.last = way
        self.write()

    def write(self):
        with open(self.path + '.new', 'w', encoding='ascii') as f:
            f.write('%d %d %d\n' % (self.passed['sent'], self.passed['received'], self.turns))
        os.rename(self.path + '.new', self.path)


async def passing(reader, writer, way, counters, delay):
    """Pass on one way of a connection, each chunk delay seconds after it came."""
    loop = asyncio.get_running_loop()
    chunks = asyncio.Queue(maxsize=256)

    async def read():
        while True:
            chunk = await reader.read(65536)
            await chunks.put((loop.time() + delay, chunk))
            if not chunk:
                return

    reading = asyncio.ensure_future(read())
    try:
        while True:
            due, chunk = await chunks.get()
            if due > loop.time():
                await asyncio.sleep(due - loop.time())
            if not chunk:
                break
            counters.add(way, len(chunk))
            writer.write(chunk)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    except (ConnectionError, OSError):
        writer.close()
    finally:
        reading.cancel()


async def main(port, to_port, path, milliseconds='0'):
    counters, delay = Counters(path), float(milliseconds) / 2000
    counters.write()

    async def connected(reader, writer):
        try:
            far_reader, far_writer = await asyncio.open_connection('127.0.0.1', int(to_port))
        except OSError:
            writer.close()
            return
        await asyncio.gather(
            passing(reader, far_writer, 'sent', counters, delay), passing(far_reader, writer, 'received', counters, delay),
            return_exceptions=True)
        writer.close()
        far_writer.close()

    server = await asyncio.start_server(connected, '127.0.0.1', int(port), backlog=500)
    async with server:
        await server.serve_forever()


asyncio.run(main(*sys.argv[1:]))
