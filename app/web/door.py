"""What every route needs: the services, the upkeep, and the places for matches that compute."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from app.domain.question import MatchRequest
from app.services.bundle import Services
from app.services.match import MatchResult
from app.web.limits import Places
from app.web.upkeep import Upkeep


@dataclass(frozen=True, slots=True)
class Door:
    """Kept on the application; ``places`` bounds the matches that wait and that compute at a time."""

    services: Services
    upkeep: Upkeep
    places: Places

    def match(self, asked: Callable[[], MatchRequest]) -> tuple[MatchRequest, MatchResult]:
        """Answer a question when its turn has come; raises Overloaded and whatever the service raises.

        The question is read only then: those that wait keep their photographs out of memory.
        """
        with self.places.taken():
            request = asked()
            result = self.services.match(request)
        self.upkeep.nudge()
        return request, result


# Coroutines: for a plain function each request would wait for a thread twice.
async def _door(request: Request) -> Door:
    door: Door = request.app.state.door
    return door


async def _services(request: Request) -> Services:
    return (await _door(request)).services


TheDoor = Annotated[Door, Depends(_door)]
TheServices = Annotated[Services, Depends(_services)]
