"""What the page of the studio can ask for, and what it is told."""

import asyncio
import os
import secrets
import threading
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse
from starlette.routing import Route

from nst import files, memory, schema
from nst.errors import NstError
from nst.objective.effort import EFFORTS
from nst.objective.recipes import RECIPES
from nst.pictures.colour import COLORS
from nst.show.command import command_of
from nst.studio.door import LARGEST_BODY
from nst.studio.feed import Feed
from nst.studio.history import History
from nst.studio.painter import Painter, output_for
from nst.studio.piece import Piece
from nst.studio.server import Site
from nst.studio.shelf import PHOTOGRAPH, SHOWN, SMALL, Shelf
from nst.studio.telling import Told
from nst.studio.wish import Choices, Wish, in_page, settings_of, wish_from
from nst.values import shown
from nst.vgg import weights
from nst.vgg.architecture import ARCHITECTURES

PAGE = Path(__file__).with_name("studio.html")
FOLDER = Path("nst-studio")
ABOUT = {  # of the recipes that are ours
    "nst": "brushwork and colours of the painting, laid all over the photograph",
    "neighbours": "each place becomes the most similar of the painting; the subject stays",
    "strokes": "each place becomes the most similar, in strokes that follow the forms",
    "mixture": "the most similar places, and brushwork over them",
}
MOST_NOTICES = 5  # warnings that a page is shown


class Studio:
    """One studio: what it paints and has painted, for every page that is open.

    Results are kept in ``folder``, and what they are painted of in ``folder``/inputs.
    """

    def __init__(
        self,
        folder: Path = FOLDER,
        model: str = "auto",
        device: str = "auto",
        memory: str = "auto",
    ) -> None:
        self.folder = folder
        self.choices = Choices(Shelf(folder / "inputs"), _models(model), device, memory)
        self._history = History(folder, self.choices)
        self._feed = Feed()
        self._pieces: dict[str, Piece] = {}  # of this session
        self._wish: Wish | None = None  # the last that a page had: the next to open begins so
        self._lock = threading.Lock()
        self._notices: list[tuple[int, str]] = []  # each with its number, from 1
        self._noticed = 0  # the number of the last that a page was told
        self.painter = Painter(self.choices, self._changed)

    @property
    def site(self) -> Site:
        """The page, and what it asks for."""
        routes = [
            Route("/choices", self._tell_choices),
            Route("/events", self._listen),
            Route("/pictures", self._take, methods=["POST"]),
            Route("/pictures/{id}", self._show_picture),
            Route("/command", self._tell_command, methods=["POST"]),
            Route("/estimate", self._estimate, methods=["POST"]),
            Route("/pieces", self._begin, methods=["POST"]),
            Route("/pieces/{id}", self._tell_piece),
            Route("/pieces/{id}/picture", self._show_piece),
            Route("/pieces/{id}/file", self._download),
            Route("/pieces/{id}/{what}", self._do, methods=["POST"]),
        ]
        return Site(PAGE, routes, in_page, self.close)

    def close(self) -> None:
        """End what is painted, keep it, and let every page go."""
        self.painter.close()
        self._feed.close()

    def heard(self, message: Warning | str, *_: Any, **__: Any) -> None:
        """Show a warning in the page: what ``warnings.showwarning`` becomes."""
        number = self._notices[-1][0] + 1 if self._notices else 1
        self._notices = [*self._notices, (number, str(message))][-MOST_NOTICES:]
        self._changed()

    def kept(self) -> list[Piece]:
        """Return the pieces of this session of which there is a picture."""
        return [piece for piece in self._pieces.values() if piece.step and piece.output.exists()]

    def _changed(self) -> None:
        self._feed.changed()

    # --- What it tells --------------------------------------------------------------------------

    async def _tell_choices(self, _: Request) -> Response:
        return Told(
            {
                "photograph": PHOTOGRAPH,
                "paintings": self.choices.shelf.paintings(),
                "recipes": {
                    name: {"content": recipe.has_content, "about": _about(name)}
                    for name, recipe in RECIPES.items()
                },
                "models": list(self.choices.models),
                "colors": COLORS,
                "efforts": list(EFFORTS),
                "wish": vars(Wish()),
                "last": self._wish and vars(self._wish),
                "piece": next(reversed(self._pieces), None),
                "noticed": self._noticed,
                "largest": LARGEST_BODY,
                "folder": str(self.folder),
            }
        )

    async def _listen(self, _: Request) -> StreamingResponse:
        return self._feed.answer(self._teller())

    def _teller(self) -> Callable[[], Any]:
        """Return what tells one page what is new since it was last told."""
        told: dict[str, Any] = {"list": None, "losses": {}, "ended": set()}

        def tell() -> Any:
            pieces = [p for p in self._pieces.values() if p.id not in told["ended"]]
            told["ended"] |= {piece.id for piece in pieces if not piece.live}
            news: dict[str, Any] = {"pieces": [p.told() for p in pieces], "losses": {}}
            for piece in pieces:
                behind = told["losses"].get(piece.id, 0)
                rows = piece.history[behind:]
                news["losses"][piece.id] = {"from": behind, "rows": rows}
                told["losses"][piece.id] = behind + len(rows)
            listed = self._history.listed()
            if listed != told["list"]:
                told["list"] = news["history"] = listed
            news["notices"] = self._notices
            self._noticed = max([self._noticed, *(number for number, _ in self._notices)])
            return news

        return tell

    async def _tell_piece(self, request: Request) -> Response:
        id = request.path_params["id"]
        if id in self._pieces:
            piece = self._pieces[id]
            return Told({**piece.told(), "losses": piece.history})
        return Told(await asyncio.to_thread(self._history.told, id))

    async def _show_piece(self, request: Request) -> Response:
        id, side = request.path_params["id"], _side(request.query_params)
        piece = self._pieces.get(id)
        if piece is not None and piece.version and side == SHOWN:
            piece.fetched = piece.version
            return Response(piece.picture, media_type="image/jpeg")
        return await _jpeg(self._history.preview, id, side)

    async def _show_picture(self, request: Request) -> Response:
        id, side = request.path_params["id"], _side(request.query_params)
        return await _jpeg(self.choices.shelf.preview, id, side)

    async def _download(self, request: Request) -> Response:
        id = request.path_params["id"]
        piece = self._pieces.get(id)
        path = self._history.path(id) if piece is None else piece.output
        if not path.is_file():
            raise NstError(
                "it is not kept yet; stop it, or let it be painted to its end."
                if piece is not None and piece.live
                else f"there is no picture {path.name}: it ended before its first step, or was "
                "removed."
            )
        name = os.fsencode(path.name).decode(errors="replace")
        return FileResponse(path, media_type="image/png", filename=name)

    # --- What it does ---------------------------------------------------------------------------

    async def _take(self, request: Request) -> Response:
        name, mask = request.query_params.get("name", ""), "mask" in request.query_params
        data = await request.body()
        one = await asyncio.to_thread(self.choices.shelf.take, name, data, mask)
        return Told({"id": one.id, "name": one.name})

    async def _tell_command(self, request: Request) -> Response:
        wish = wish_from(await _said(request))
        output = output_for(self.folder, wish, self.choices, set())
        settings = settings_of(wish, self.choices, output)
        self._wish = wish
        usual = replace(settings, size=None, steps=None)
        told = {"size": usual.asked_size or usual.objective.size, "steps": usual.all_steps}
        return Told({"command": command_of(settings, where=True), "usual": told})

    async def _estimate(self, request: Request) -> Response:
        wish = wish_from(await _said(request))
        lines = await asyncio.wrap_future(self.painter.estimate(wish))
        return Told({"lines": lines})

    async def _begin(self, request: Request) -> Response:
        one_step = "step" in request.query_params
        piece = self.begin(wish_from(await _said(request)), 1 if one_step else None)
        return Told({"id": piece.id})

    def begin(self, wish: Wish, steps: int | None = None) -> Piece:
        """Let a piece be painted as soon as those before it are; with ``steps``, pause there."""
        with self._lock:
            files.make_folder(self.folder)
            files.make_folder(self.choices.shelf.folder)
            taken = {piece.output for piece in self._pieces.values() if piece.live}
            output = output_for(self.folder, wish, self.choices, taken)
            settings = settings_of(wish, self.choices, output)
            piece = Piece(secrets.token_hex(8), wish, output, settings=settings)
            piece.at_first = piece.at_first if steps is None else steps
            self._pieces[piece.id] = piece
            self._wish = wish
        self.painter.add(piece)
        self._changed()
        return piece

    async def _do(self, request: Request) -> Response:
        id, what = request.path_params["id"], request.path_params["what"]
        if id not in self._pieces:
            raise NstError(f"there is no painting {shown(id)} at work.")
        piece = self._pieces[id]
        if what == "turn":
            self.painter.turn(piece, wish_from(await _said(request)))
        elif what == "go":
            self.painter.go(piece)
        elif what == "step":
            self.painter.go(piece, 1)
        elif what == "pause":
            self.painter.pause(piece)
        elif what == "stop":
            self.painter.stop(piece)
        else:
            raise NstError(f"a painting cannot be told to {shown(what)}.")
        return Told(piece.told())


async def _jpeg(preview: Callable[[str, int], bytes], id: str, side: int) -> Response:
    return Response(await asyncio.to_thread(preview, id, side), media_type="image/jpeg")


def _about(recipe: str) -> str:
    """Return what a recipe does, for those who choose by looking."""
    return ABOUT.get(recipe) or f"as the published program does it: {RECIPES[recipe].source}"


def _side(query: QueryParams) -> int:
    return SMALL if "small" in query else SHOWN


async def _said(request: Request) -> Any:
    text = (await request.body()).decode(errors="replace")
    return schema.parse_json(text, "what the page asks for")


def _models(model: str) -> dict[str, str]:
    """Return the networks that the page lists; ``auto`` is what the command line says."""
    return {"auto": model} | {name: name for name in ARCHITECTURES if weights.installed(name)}


def open_studio(**options: Any) -> Studio:
    """Return a studio that shows warnings in its page.

    Raises NstError for what none of its pictures could be painted with.  Nothing is written yet.
    """
    studio = Studio(**options)
    files.check_folder(studio.folder)
    weights.find(studio.choices.models["auto"])
    memory.parse(studio.choices.memory)
    warnings.showwarning = studio.heard
    return studio
