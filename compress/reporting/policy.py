"""The content security policy of pages in one file."""

from __future__ import annotations

import base64
import hashlib


def policy(script: str, style: str, *more: str) -> str:
    """This script and this style, each by its hash, and no request of any kind.

    Args:
        more: further directives, such as "worker-src blob:".
    """

    def allowed(text: str) -> str:
        return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"

    directives = (
        "default-src 'none'",
        f"script-src {allowed(script)}",
        f"style-src {allowed(style)}",
        *more,
        "base-uri 'none'",
        "form-action 'none'",
    )
    return "; ".join(directives)
