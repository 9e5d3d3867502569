"""
What is said when there is no request to be answered: what came is not HTTP, or something broke outside every answer.

The parser is aiohttp's, and so is the decision. Only the form is ours: what every other answer has, so that programs need to know one; it
repeats nothing of what was sent, and says nothing of what answers.
"""

from __future__ import annotations

import json
from http import HTTPStatus

from aiohttp import web

from gatelodge.api.entrance import HEADERS

_UNREADABLE = "this is no request that can be read"
_DEFECT = "a defect of Gatelodge"


class Answering(web.RequestHandler):
    """
    One connection, as aiohttp answers it.
    """

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """
        Answer what is no request.

        Raises:
            ConnectionError: an answer was begun already.
        """
        super().handle_error(request, status, exc, message)
        error = _DEFECT if status >= HTTPStatus.INTERNAL_SERVER_ERROR else _UNREADABLE
        text = json.dumps({"error": error}) + "\n"
        answer = web.Response(status=status, text=text, content_type="application/json", headers=HEADERS)
        answer.force_close()
        return answer
