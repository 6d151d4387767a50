#!/usr/bin/env python3
"""Is a page well-formed, and does it need nothing but itself? page.py FILE [TEXT...]: also, is each text shown as text?

Two independent parsers: html.parser (are tags balanced? is there a script, or anything loaded from elsewhere?) and expat,
since the pages and plots are XML too.
"""
import sys
import xml.etree.ElementTree
from html.parser import HTMLParser

VOID = {"meta", "link", "br", "img", "hr", "input"}
LOADING = {"src", "href", "data", "srcset", "poster", "action", "background", "xlink:href"}


class Page(HTMLParser):
    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open, self.faults, self.text, self.tags = [], [], [], {}

    def handle_starttag(self, tag, attributes):
        self.tags[tag] = self.tags.get(tag, 0) + 1
        if tag not in VOID:
            self.open.append(tag)
        if tag in ("script", "iframe", "object", "embed", "link", "base", "form", "foreignobject"):
            self.faults.append(f"<{tag}>")
        for name, value in attributes:
            if name.startswith("on"):
                self.faults.append(f"{name} in <{tag}>")
            if name in LOADING and not (tag == "a" and (value or "").startswith("cells/") and ":" not in value):
                self.faults.append(f"{name}={value} in <{tag}>")
            if "url(" in (value or "") or "javascript:" in (value or "").lower():
                self.faults.append(f"{value} in <{tag}>")

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}> closes nothing")

    def handle_data(self, data):
        self.text.append(data)


def main():
    path, wanted = sys.argv[1], sys.argv[2:]
    with open(path, encoding="utf-8") as file:
        source = file.read()
    page = Page()
    page.feed(source)
    page.close()
    faults = page.faults + [f"<{tag}> is not closed" for tag in page.open]
    if "@import" in source or "url(" in source:
        faults.append("a style that loads something")
    try:
        xml.etree.ElementTree.fromstring(source)
    except xml.etree.ElementTree.ParseError as error:
        faults.append(f"no XML: {error}")
    text = "".join(page.text)
    faults += [f"'{word}' is not shown" for word in wanted if word not in text]
    if path.endswith(".html") and page.tags.get("svg", 0) > 0 and page.tags.get("table", 0) == 0:
        faults.append("plots without a table")
    for fault in faults:
        print(f"{path}: {fault}", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
