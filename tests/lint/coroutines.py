"""Coroutine forms that g++ 12 miscompiles, or that dangle in a lazily started coroutine.

GCC bug 99576 and its kin: temporaries in a full expression with co_await that are braced aggregates,
lambdas with captures or arms of ?: are destroyed twice; an initializer_list does not compile; a condition
with co_await may never complete. The safe form names things first:
    auto pending = f(Options{...});
    T result = co_await std::move(pending);
"""
import re

from source import CPP, blanked

CONTROL = re.compile(r"\b(if|while|switch|for|catch)(\s+constexpr)?\s*$")
HEADER = re.compile(r"(if|while|switch|for)(?:\s+constexpr)?\s*\(|(else|do)\b|(?:case\b[^:?]*|default|\w+\s*):(?!:)"
                    r"|\[\[[^\]]*\]\]")
AFTER_PARAMETERS = re.compile(r"\)\s*((const|noexcept|mutable|override|final|requires\b[^{;]*)\s*)*"
                              r"(->\s*[\w:<>,&*\s]+)?$")
BLOCK = re.compile(r"(^|[;{}:]|\b(else|do|try))\s*$|\b(namespace|class|struct|union|enum)\b[^;{}()=]*$")
LAMBDA = re.compile(r"\[[^\[\]]*\]\s*$")
LAZY_SAFE = re.compile(r"^(const\s+)?(paceline::)?(Worker|Server)\s*&(\s*\w+)?$")


class Brackets:
    """Which bracket closes which, what encloses a position, and which braces are blocks."""

    def __init__(self, code):
        self.code = code
        self.partner, self.outer, stack = {}, {}, []
        for at, char in enumerate(code):
            if char in "([{":
                self.outer[at] = stack[-1] if stack else None
                stack.append(at)
            elif char in ")]}" and stack and code[stack[-1]] + char in ("()", "[]", "{}"):
                self.partner[at] = stack[-1]
                self.partner[stack.pop()] = at
        self.opens = sorted(self.outer)
        self.block = {}
        for at in self.opens:  # outermost first: whether `{` after `{` is a block depends on the outer one
            if code[at] == "{":
                self.block[at] = self._is_block(at)

    def _is_block(self, at):
        before = self.code[:at].rstrip()
        outer = self.outer[at]
        if not before:
            return True
        if before[-1] in "{,(" and outer is not None and not (self.code[outer] == "{" and self.block[outer]):
            return False
        window = before[-400:]
        return bool(BLOCK.search(window) or AFTER_PARAMETERS.search(window) or LAMBDA.search(window)
                    and not re.search(r"[\w\])]\s*\[[^\[\]]*\]\s*$", window))

    def enclosing(self, at):
        """The open brackets around `at`, innermost first."""
        found = None
        for opening in reversed(self.opens):
            if opening < at and self.partner.get(opening, len(self.code)) > at:
                found = opening
                break
        while found is not None:
            yield found
            found = self.outer[found]

    def innermost_block(self, at):
        return next((b for b in self.enclosing(at) if self.block.get(b)), None)


def statement(code, brackets, at):
    """[start, end) of the statement around `at` in its block, less the headers (if (...), for (...), else)."""
    block = brackets.innermost_block(at)
    start = cursor = 0 if block is None else block + 1
    limit = len(code) if block is None else brackets.partner.get(block, len(code))
    while cursor < limit:
        char = code[cursor]
        if char in "([{" and cursor in brackets.partner:
            is_block = brackets.block.get(cursor, False)
            cursor = brackets.partner[cursor]
            rest = code[cursor + 1:limit].lstrip()
            # A lambda's body ends no statement: something of the expression follows.
            if is_block and cursor < at and not rest[:1] in (";", ",", ")", "(", "."):
                start = cursor + 1
        elif char == ";":
            if cursor >= at:
                break
            start = cursor + 1
        cursor += 1
    end = min(cursor, limit)
    while True:
        start += len(code[start:end]) - len(code[start:end].lstrip())
        header = HEADER.match(code, start, end)
        if not header:
            return start, end
        after = header.end()
        if header.group(1):
            after = brackets.partner.get(header.end() - 1, end) + 1
        if after > at:  # the co_await is in the header itself
            return start, after
        start = after


def blank_inner_blocks(code, brackets, start, end):
    """The statement's own text: bodies of lambdas inside it are statements of their own."""
    own, cursor = [], start
    while cursor < end:
        if code[cursor] == "{" and brackets.block.get(cursor) and cursor in brackets.partner:
            close = brackets.partner[cursor]
            own.append(" " * (min(close, end) - cursor))
            cursor = close
        else:
            own.append(code[cursor])
            cursor += 1
    return "".join(own)[:end - start]


def check_await(file, code, brackets, at):
    chain = []
    for opening in brackets.enclosing(at):
        if brackets.block.get(opening):
            break
        chain.append(opening)
    if any(code[o] == "(" and CONTROL.search(code[max(0, o - 40):o]) for o in chain):
        yield "condition", "co_await inside if/while/switch/for (...): name its result first"
        return
    start, end = statement(code, brackets, at)
    own = blank_inner_blocks(code, brackets, start, end)
    if len(re.findall(r"\bco_await\b", own)) > 1:
        yield "one-per-statement", "more than one co_await in a statement"
    if "?" in own:
        yield "ternary", "co_await in a statement with ?: write if/else, or name the awaitable first"
    if "{" in own:
        yield "braces", "co_await in a statement with {...}: name what is built, then await"
    if re.search(r"(?:^|[(,={?:!+&|]|\b(?:return|co_await))\s*\[(?!\[|\s*\])", own):
        yield "lambda", "co_await in a statement with a lambda that captures: name the lambda first"
    if "||" in own or re.search(r" && ", own):
        yield "condition", "co_await beside && or ||: name its result first"


def parameters(text):
    """A parameter list split at its own commas."""
    depth, part, parts = 0, "", []
    for char in text:
        depth += (char in "(<[{") - (char in ")>]}")
        if char == "," and depth == 0:
            parts.append(part)
            part = ""
        else:
            part += char
    return [p.strip() for p in parts + [part] if p.strip()]


def function_of(code, brackets, at):
    """(parameter list's `(`, body's `{`) of the function around `at`, or None."""
    for opening in brackets.enclosing(at):
        if not brackets.block.get(opening):
            continue
        before = code[:opening].rstrip()
        signature = AFTER_PARAMETERS.search(before[-400:])
        if not signature:
            if LAMBDA.search(before[-400:]):
                return None, opening
            continue
        close = len(before) - len(before[-400:]) + signature.start()
        begin = brackets.partner.get(close)
        if begin is not None and not CONTROL.search(code[max(0, begin - 40):begin]):
            return begin, opening
    return None


def check_function(file, code, brackets, begin, body):
    if begin is not None:
        for parameter in parameters(code[begin + 1:brackets.partner[begin]]):
            declared = parameter.split("=")[0].strip()
            if LAZY_SAFE.match(declared):
                continue
            if re.search(r"&|\bstring_view\b|\bspan\s*<", declared):
                yield begin, "reference-parameter", f"'{declared}': a coroutine starts lazily, take it by value"
    introducer = code[:begin if begin is not None else body].rstrip()
    lambda_start = brackets.partner.get(len(introducer) - 1) if introducer.endswith("]") else None
    captures = lambda_start is not None and code[lambda_start + 1:len(introducer) - 1].strip()
    close = brackets.partner.get(body)
    if captures and close is not None and re.match(r"\s*\(", code[close + 1:]):
        yield lambda_start, "invoked-lambda", "a coroutine lambda invoked at once outlives its captures"


def check_awaitables(file, code, brackets):
    for match in re.finditer(r"\b(?:class|struct)\s+(?:\[\[\w+\]\]\s*)?(\w+)\s*(?:final\s*)?(?::[^;{}()=]*)?\{", code):
        body = match.end() - 1
        if body not in brackets.partner:
            continue
        own = []  # the class's own members, without bodies
        cursor = body + 1
        while cursor < brackets.partner[body]:
            if code[cursor] in "{" and cursor in brackets.partner:
                own.append(";")
                cursor = brackets.partner[cursor]
            else:
                own.append(code[cursor])
            cursor += 1
        own = "".join(own)
        if not re.search(r"\bawait_ready\s*\(", own):
            continue
        members = [m.split("=")[0] for m in re.split(r"[;:]", own)
                   if "(" not in m.split("=")[0] and re.match(r"\s*[\w<>,*& ]+[\s*&>]\w+\s*$", m.split("=")[0])
                   and not re.match(r"\s*(using|typedef|friend|static|struct|class|enum)\b", m)]
        if members and not re.search(rf"(^|[^~\w]){match.group(1)}\s*\(", own):
            yield match.start(), "awaitable-constructor", f"{match.group(1)} is awaited: give it a constructor"


def check(files):
    for file in files:
        if file.suffix not in CPP or "co_" not in file.text and "await_ready" not in file.text:
            continue
        code = blanked(file.text)
        brackets = Brackets(code)
        functions = set()
        for match in re.finditer(r"\bco_(await|return|yield)\b", code):
            if re.search(r"\boperator\s*$", code[:match.start()]):
                continue
            if match.group(1) == "await":
                for rule, message in check_await(file, code, brackets, match.start()):
                    yield file.finding(match.start(), rule, message)
            function = function_of(code, brackets, match.start())
            if function:
                functions.add(function)
        for begin, body in functions:
            for at, rule, message in check_function(file, code, brackets, begin, body):
                yield file.finding(at, rule, message)
        for at, rule, message in check_awaitables(file, code, brackets):
            yield file.finding(at, rule, message)
