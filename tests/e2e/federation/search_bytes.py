"""Search files, folders and processes' memory for words: as they are, in hex, and in base64 at any offset.

usage: search_bytes.py WORDS_FILE PATH|pid:N ...     prints what was found where; exit 0 when nothing was
"""

import base64
import os
import re
import sys


def forms(word):
    raw = word.encode()
    yield raw
    yield raw.hex().encode()
    yield raw.hex().upper().encode()
    for lead in range(3):  # the whole groups of a base64 text that starts `lead` bytes before
        text = base64.b64encode(b"\0" * lead + raw)
        yield text[4 if lead else 0 : len(text) - 4]
        yield base64.urlsafe_b64encode(b"\0" * lead + raw)[4 if lead else 0 : len(text) - 4]


def files(path):
    if not os.path.isdir(path):
        yield path
    for folder, _, names in os.walk(path):
        for name in names:
            full = os.path.join(folder, name)
            if os.path.isfile(full):
                yield full


def memory(pid):
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as mem:
        for line in maps:
            span, mode = line.split()[:2]
            if not mode.startswith("rw"):
                continue
            start, end = (int(x, 16) for x in span.split("-"))
            try:
                mem.seek(start)
                yield line.strip(), mem.read(end - start)
            except OSError:
                pass


def main():
    words = [w for w in open(sys.argv[1]).read().split() if w]
    needles = {form: word for word in words for form in forms(word)}
    pattern = re.compile(b"|".join(re.escape(n) for n in needles))
    found = False
    for place in sys.argv[2:]:
        if place.startswith("pid:"):
            parts = memory(place[4:])
        else:
            parts = ((name, open(name, "rb").read()) for name in files(place))
        for name, data in parts:
            hit = pattern.search(data)
            if hit:
                found = True
                print(f"{place}: {needles[hit.group()]} in {name}")
    return 1 if found else 0


sys.exit(main())
