"""What docs/errors.md and the comments of the proto files say about errors."""

import re

from harness import PROTO, ROOT

ROW = re.compile(r"^\| `([A-Z0-9_]+)` \| ([A-Za-z_, ]+) \|")


def read_reasons():
    """The codes that each reason may come with; None for any code."""
    rows = {}
    text = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    for line in text.splitlines():
        row = ROW.match(line)
        if row:
            codes = {code.strip() for code in row.group(2).split(",")}
            rows[row.group(1)] = None if "any" in codes else codes
    assert len(rows) > 50, rows
    return rows


def _methods_with_comments(text):
    """Yields service, its comment, method and its comment."""
    service = service_comment = None
    comment = []
    for line in text.splitlines():
        line = line.strip()
        if line.startswith("//"):
            comment.append(line[2:])
            continue
        found = re.match(r"(service|rpc) (\w+)", line)
        if found and found.group(1) == "service":
            service, service_comment = found.group(2), "\n".join(comment)
        elif found:
            yield service, service_comment, found.group(2), "\n".join(comment)
        comment = []


def read_methods(reasons):
    """The reasons that the comment of each method, "/service/method", names,
    including those of its service and those of all methods."""
    def named(text):
        return {word for word in re.findall(r"[A-Z][A-Z0-9_]+", text)
                if word in reasons}

    folder = PROTO / "simvisor" / "v1"
    everywhere = named((folder / "common.proto").read_text().split("syntax")[0])
    found, comments = {}, {}
    for file in sorted(folder.glob("*.proto")):
        for service, above, method, comment in _methods_with_comments(
                file.read_text(encoding="utf-8")):
            comments[method] = comment
            found[f"/simvisor.v1.{service}/{method}"] = (
                named(above) | named(comment) | everywhere)
    by_name = {path.rpartition("/")[2]: path for path in found}
    for method, comment in comments.items():
        for other in re.findall(r"rrors (?:of|as) (\w+)", comment):
            if other in by_name:
                found[by_name[method]] |= found[by_name[other]]
    # It passes on its target's errors, which include those of a refused image.
    found[by_name["MigrateDomain"]] |= found[by_name["ReceiveDomain"]]
    return found
