"""What a scene can be: its attributes, and how one is drawn. Everything the default model ever sees is one of these."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

TIMES = ("dawn", "day", "sunset", "night")
FARS = ("mountains", "city", "forest", "hills")
GROUNDS = ("sea", "meadow", "desert", "snow", "street")
WEATHERS = ("none", "rain", "snow", "leaves", "fireflies")
CAMERAS = ("static", "left", "right", "in", "out")

COLORS = {
    "red": (0.88, 0.16, 0.14),
    "orange": (0.97, 0.55, 0.10),
    "yellow": (0.99, 0.86, 0.18),
    "green": (0.18, 0.66, 0.28),
    "blue": (0.14, 0.38, 0.90),
    "purple": (0.54, 0.24, 0.74),
    "pink": (0.98, 0.54, 0.72),
    "white": (0.97, 0.97, 0.95),
}

MOTIONS = ("left", "right", "up", "down", "bounce", "circle")

#: actor -> (grounds it may stand on or fly over, motions it may make)
ACTORS = {
    "balloon": (GROUNDS, ("left", "right", "up", "down")),
    "boat": (("sea",), ("left", "right")),
    "bird": (GROUNDS, ("left", "right", "circle")),
    "car": (("street", "desert", "meadow", "snow"), ("left", "right")),
    "train": (("meadow", "desert", "snow", "street"), ("left", "right")),
    "fish": (("sea",), ("left", "right", "bounce")),
    "ball": (("meadow", "desert", "snow", "street"), ("bounce", "left", "right")),
    "butterfly": (("meadow", "desert", "street"), ("left", "right", "circle")),
    "lantern": (GROUNDS, ("up", "down", "left", "right")),
    "umbrella": (GROUNDS, ("down", "up", "left", "right")),
    "bus": (("street",), ("left", "right")),
}


@dataclass(frozen=True)
class Actor:
    kind: str
    color: str
    motion: str


@dataclass(frozen=True)
class Scene:
    time: str
    far: str
    ground: str
    actors: tuple[Actor, ...]
    weather: str = "none"
    camera: str = "static"
    shelter: bool = False
    seed: int = 0
    #: Whether crossing actors come in and leave at any moment instead of passing the middle halfway.
    endless: bool = False


def scene_from_dict(fields: dict) -> Scene:
    """The scene that `dataclasses.asdict` took apart."""
    return Scene(**{**fields, "actors": tuple(Actor(**actor) for actor in fields["actors"])})


def pick(rng, options):
    return options[int(rng.integers(len(options)))]


def _sample_actor(rng, ground, taken=()):
    kinds = [k for k, (grounds, _) in ACTORS.items() if ground in grounds and k not in taken]
    kind = pick(rng, kinds)
    color = pick(rng, tuple(COLORS))
    return Actor(kind, color, pick(rng, ACTORS[kind][1]))


def sample_scene(rng: np.random.Generator) -> Scene:
    """Draw one scene; about one in sixteen is the rainy bus shelter at night."""
    seed = int(rng.integers(1 << 30))
    if rng.random() < 0.06:
        who = Actor(pick(rng, ("bus", "umbrella", "car", "bus")), pick(rng, tuple(COLORS)), "left")
        motion = pick(rng, ACTORS[who.kind][1])
        return Scene("night" if rng.random() < 0.8 else pick(rng, TIMES), pick(rng, ("city", "city", "forest", "hills")),
                     "street", (replace(who, motion=motion),), "rain" if rng.random() < 0.8 else "none",
                     pick(rng, CAMERAS), True, seed)
    ground = pick(rng, GROUNDS)
    actors = ()
    roll = rng.random()
    if roll > 0.05:
        actors = (_sample_actor(rng, ground),)
    if roll > 0.88:
        actors += (_sample_actor(rng, ground, (actors[0].kind,)),)
    weather = "none" if rng.random() < 0.4 else pick(rng, WEATHERS[1:])
    camera = "static" if rng.random() < 0.36 else pick(rng, CAMERAS[1:])
    return Scene(pick(rng, TIMES), pick(rng, FARS), ground, actors, weather, camera, False, seed)


def vary_scene(scene: Scene, rng: np.random.Generator) -> Scene:
    """A second scene for a prompt switch: a few attributes changed, or all of them."""
    if rng.random() < 0.35:
        return sample_scene(rng)
    other = sample_scene(rng)
    change = {}
    for name in rng.permutation(["time", "weather", "camera", "far", "actors"])[: int(rng.integers(1, 4))]:
        if name == "actors":
            if not scene.shelter:
                change["actors"] = (_sample_actor(rng, scene.ground),)
        else:
            change[str(name)] = getattr(other, str(name))
    if "weather" not in change and rng.random() < 0.3:
        change["weather"] = other.weather
    return replace(scene, **change)
