"""Regular expressions of the models, which are Java's, as Rust reads them."""

import sys


def translate(pattern):
    """A Java regular expression as one of the `regex` crate that means the same under a match of the whole text.

    Java's classes are ASCII and its dot stops at five line terminators; surrogate pairs stand for the planes above
    the first.
    """
    out, in_class, i = [], False, 0
    dotall = pattern.startswith("(?s)")
    pattern = pattern.replace("\\uD800\\uDC00-\\uDBFF\\uDFFF", "\\u{10000}-\\u{10FFFF}")
    ascii_classes = {"d": "0-9", "w": "A-Za-z0-9_", "s": r"\t\n\x0B\x0C\r "}
    while i < len(pattern):
        char = pattern[i]
        if char == "\\":
            following = pattern[i + 1]
            if following in ascii_classes:
                inner = ascii_classes[following]
                out.append(inner if in_class else "[" + inner + "]")
                i += 2
                continue
            if following == "u" and pattern[i + 2] != "{":
                out.append("\\u{" + pattern[i + 2 : i + 6] + "}")
                i += 6
                continue
            out.append(pattern[i : i + 2])
            i += 2
            continue
        if char == "[" and not in_class:
            in_class = True
        elif char == "]":
            in_class = False
        elif char == "." and not in_class and not dotall:
            out.append(r"[^\n\r\u{85}\u{2028}\u{2029}]")
            i += 1
            continue
        elif in_class and pattern[i : i + 2] in ("&&", "--", "~~"):
            sys.exit(f"pattern {pattern!r} needs a set operation escaped")
        out.append(char)
        i += 1
    return r"\A(?:" + "".join(out) + r")\z"
