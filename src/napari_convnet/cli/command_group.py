"""How commands end: a wrong input by one message, Ctrl+C by the shell's own exit status."""

from __future__ import annotations

import sys
from typing import Any

from typer.core import TyperGroup

from napari_convnet.cli.console import fail, say
from napari_convnet.errors import UserError


class Commands(TyperGroup):
    """Commands that answer a wrong input by one message, and Ctrl+C by the shell's own exit status."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except UserError as error:
            fail(error)
        except KeyboardInterrupt:
            say("Interrupted. What was complete is kept; nothing is half written.")
            sys.exit(130)
        except Exception as error:
            if not _is_out_of_memory(error):
                raise
            fail(
                UserError(
                    "CN-201",
                    "Memory ran out. Your files are as they were. Close other programs, use a "
                    "smaller --batch-size or --size, or --device cpu.",
                    details=str(error),
                )
            )


def _is_out_of_memory(error: Exception) -> bool:
    torch = sys.modules.get("torch")  # not imported for this question
    return isinstance(error, MemoryError) or (
        torch is not None and isinstance(error, torch.OutOfMemoryError)
    )
