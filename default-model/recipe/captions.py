"""Scenes in words: synonyms, parts left out at random, varied order; never a word that is not true of the scene."""

from __future__ import annotations

import numpy as np

from grammar import Actor, Scene, pick

_NAMES = {
    "balloon": ("balloon", "balloon", "air balloon"),
    "boat": ("sail boat", "sailboat", "boat", "sailing boat"),
    "bird": ("bird", "bird", "seagull"),
    "car": ("car", "car", "taxi"),
    "train": ("train", "train", "steam train"),
    "fish": ("fish", "fish"),
    "ball": ("ball", "ball", "beach ball"),
    "butterfly": ("butterfly",),
    "lantern": ("lantern", "paper lantern", "glowing lantern"),
    "umbrella": ("umbrella", "umbrella", "parasol"),
    "bus": ("bus", "bus", "city bus"),
}
_COLOR_NAMES = {
    "red": ("red", "red", "red", "crimson", "scarlet"), "orange": ("orange",),
    "yellow": ("yellow", "yellow", "yellow", "golden"), "green": ("green", "green", "emerald"),
    "blue": ("blue", "blue", "blue", "azure"), "purple": ("purple", "purple", "violet"),
    "pink": ("pink",), "white": ("white", "white", "snow-white"),
}
_LOOKS = ("", "", "", "", "", "", "paper ", "bright ")
_MOTIONS = {
    "left": ("drifting left", "drifts left", "moving left", "moves to the left", "going left", "drifting to the left",
             "crossing from right to left", "crosses to the left", "travels left", "heading left"),
    "right": ("drifting right", "drifts right", "moving right", "moves to the right", "going right",
              "drifting to the right", "crossing from left to right", "crosses to the right", "travels right",
              "heading right"),
    "up": ("rising", "rises", "floating up", "going up", "rising slowly", "climbs into the sky", "floats upward"),
    "down": ("falling", "falls", "sinking down", "coming down", "falling slowly", "floats down", "descending"),
    "bounce": ("bouncing", "bounces", "hopping up and down", "jumping", "jumps", "leaping"),
    "circle": ("circling", "circles", "flying in circles", "going round in circles", "looping"),
}
_KIND_MOTIONS = {
    "boat": {"left": ("sailing left", "sails left", "sails to the left"), "right": ("sailing right", "sails right", "sails to the right")},
    "bird": {"left": ("flying left", "flies left", "flies to the left"), "right": ("flying right", "flies right", "flies to the right")},
    "car": {"left": ("driving left", "drives left"), "right": ("driving right", "drives right")},
    "bus": {"left": ("driving left", "drives left", "arriving from the right"), "right": ("driving right", "drives right", "arriving from the left")},
    "train": {"left": ("rolling left", "rides left"), "right": ("rolling right", "rides right")},
    "fish": {"left": ("swimming left", "swims left"), "right": ("swimming right", "swims right")},
    "ball": {"left": ("rolling left", "rolls left"), "right": ("rolling right", "rolls right")},
    "butterfly": {"left": ("fluttering left", "flutters left"), "right": ("fluttering right", "flutters right")},
}
_PLACES = {
    "sea": ("over the sea", "on the sea", "above the waves", "by the ocean", "on the water", "at sea", "over the ocean"),
    "meadow": ("in a meadow", "over a green meadow", "in the grass", "over the fields", "in a field", "above the meadow"),
    "desert": ("in the desert", "over the desert", "above the sand dunes", "on the sand", "across the desert"),
    "snow": ("over a snow field", "in the snow", "across the snow", "on a snowy plain", "in a winter landscape"),
    "street": ("on a wet street", "in the street", "on a city street", "on the road", "along the wet road", "over a street with lamps"),
}
_SHELTERS = ("at a bus shelter", "by the bus shelter", "at the bus stop", "past a bus shelter", "near a bus stop",
             "and a bus shelter on the street", "at a bus shelter on a wet street")
_FARS = {
    "mountains": ("in front of mountains", "mountains in the distance", "with mountains behind", "under the mountains", "mountains in the background"),
    "city": ("with a city skyline", "city skyline in the distance", "in front of the city", "with skyscrapers behind", "a city in the background"),
    "forest": ("in front of a forest", "a forest behind", "with a dark forest", "with trees in the background", "by the forest"),
    "hills": ("with rolling hills", "hills in the distance", "in front of the hills", "with green hills behind", "hills in the background"),
}
_TIMES = {
    "dawn": ("at dawn", "at sunrise", "early in the morning", "in the pink morning light", "in the morning"),
    "day": ("in the daytime", "on a sunny day", "by day", "in daylight", "under a blue sky", "at noon"),
    "sunset": ("at sunset", "in the evening", "under an orange sky", "at dusk", "in the evening light", "as the sun sets"),
    "night": ("at night", "under the stars", "by moonlight", "in the dark night", "under a starry sky", "at midnight"),
}
_WEATHERS = {
    "rain": ("light rain", "rain", "it is raining", "in the rain", "rain falling", "rainy weather"),
    "snow": ("snow falling", "it is snowing", "light snow", "snowflakes drifting", "snowfall"),
    "leaves": ("falling leaves", "autumn leaves falling", "leaves in the wind", "leaves drifting down"),
    "fireflies": ("fireflies", "fireflies glowing", "glowing fireflies in the air", "with fireflies"),
    "none": ("clear weather", "clear air"),
}
_CAMERAS = {
    "left": ("the camera pans left", "camera pans left", "pan left", "the camera moves left", "panning to the left"),
    "right": ("the camera pans right", "camera pans right", "pan right", "the camera moves right", "panning to the right"),
    "in": ("the camera zooms in", "zoom in", "slow zoom in", "the camera moves closer", "camera zooming in"),
    "out": ("the camera zooms out", "zoom out", "slow zoom out", "the camera moves away", "camera zooming out"),
    "static": ("static camera", "still camera", "the camera is still"),
}
_STYLES = ("paper theatre", "a paper cut scene", "paper cutout animation", "a little paper theatre")


def _actor_words(actor: Actor, rng, full: bool = False) -> str:
    color = pick(rng, _COLOR_NAMES[actor.color])
    words = pick(rng, _LOOKS) + color + " " + pick(rng, _NAMES[actor.kind])
    article = pick(rng, ("a", "a", "a", "the", "one", ""))
    if article == "a" and words[0] in "aeiou":
        article = "an"
    motions = _KIND_MOTIONS.get(actor.kind, {}).get(actor.motion, ()) + _MOTIONS[actor.motion]
    moves = "" if rng.random() < 0.08 and not full else " " + pick(rng, motions)
    return (article + " " + words).strip() + moves


def caption(scene: Scene, rng: np.random.Generator, full: bool = False) -> str:
    """Put a scene into words: synonyms, parts left out at random, varied order.

    With `full` no part is left out (used for tests and evaluation prompts).
    """

    def keep(p):
        return full or rng.random() < p

    actors = " and ".join(_actor_words(a, rng, full) for a in scene.actors)
    if scene.shelter:
        place = pick(rng, _SHELTERS) if keep(0.95) else pick(rng, _PLACES["street"])
    else:
        place = pick(rng, _PLACES[scene.ground]) if keep(0.9) else ""
    far = pick(rng, _FARS[scene.far]) if keep(0.6) else ""
    time = pick(rng, _TIMES[scene.time]) if keep(0.9) else ""
    weather = ""
    if scene.weather != "none":
        weather = pick(rng, _WEATHERS[scene.weather]) if keep(0.92) else ""
    elif rng.random() < 0.05:
        weather = pick(rng, _WEATHERS["none"])
    camera = ""
    if scene.camera != "static":
        camera = pick(rng, _CAMERAS[scene.camera]) if keep(0.9) else ""
    elif rng.random() < 0.25:
        camera = pick(rng, _CAMERAS["static"])

    roll = rng.random()
    if roll < 0.55:  # "a red balloon rising over the sea at sunset, light rain, ..."
        parts = [" ".join(p for p in (actors, place, time) if p), far, weather, camera]
    elif roll < 0.7:
        parts = [time, " ".join(p for p in (actors, place, far) if p), weather, camera]
    elif roll < 0.8:
        parts = [" ".join(p for p in (place, time) if p), actors, far, weather, camera]
    elif roll < 0.9:
        parts = [weather, " ".join(p for p in (actors, place) if p), " ".join(p for p in (far, time) if p), camera]
    else:
        parts = [str(p) for p in rng.permutation([actors, place, far, time, weather, camera])]
    if rng.random() < 0.06:
        parts.insert(int(rng.integers(2)) * len(parts), pick(rng, _STYLES))
    text = ", ".join(p for p in parts if p)
    if rng.random() < 0.3 and text:
        text = text[0].upper() + text[1:]
    if rng.random() < 0.2 and text:
        text += "."
    return text
