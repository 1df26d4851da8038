"""One exercise, run and graded in the reader's browser (and in the tests, without one)."""

from __future__ import annotations

import contextlib
import io
import traceback

LONGEST = 4000  # letters of what a reader's program prints that are shown


def graded(number: str, before: str, code: str) -> dict[str, str]:
    """Run a reader's cell in a fresh set of names, after the chapter's imports.

    Parameters
    ----------
    number : str
        The exercise, e.g. ``"2.1"``.
    before : str
        The chapter's imports.
    code : str
        The cell as it stands in the editor, its ``check`` line included.

    Returns
    -------
    dict
        ``verdict``: ``right``, ``wrong`` or ``none``; ``said``: what the cell printed or why it stopped.
    """
    from deepfake_kit.notebook import check as kit

    graded: list[bool] = []

    def check(asked, answer, variant=0):
        right = kit.check(asked, answer, variant)
        if asked == number:
            graded.append(right)
        return right

    names: dict = {"__name__": "__main__"}
    out, stopped = io.StringIO(), ""
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        try:
            exec(before, names)
            names["check"] = check
            exec(compile(code, "<your cell>", "exec"), names)
        except SyntaxError as error:
            stopped = f"line {error.lineno}: {type(error).__name__}: {error.msg}"
        except BaseException as error:  # whatever it is, the page goes on and says so
            lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == "<your cell>"]
            stopped = f"{f'line {lines[-1]}: ' if lines else ''}{type(error).__name__}: {error}"
    said = out.getvalue().strip()
    if len(said) > LONGEST:
        said = said[: LONGEST // 2] + "\n...\n" + said[-LONGEST // 2 :]
    if not stopped and not graded:
        stopped = f'The last line is missing: check("{number}", ...) grades the answer.'
    right = bool(graded) and all(graded) and not stopped
    answered = bool(graded) and "not answered yet" not in said
    verdict = "right" if right else "wrong" if answered or stopped else "none"
    return {"verdict": verdict, "said": "\n".join(filter(None, [said, stopped]))}
