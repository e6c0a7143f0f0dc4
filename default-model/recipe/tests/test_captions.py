"""Captions: every phrase can come up, and none that is untrue of its scene does."""

import itertools
import re
import unittest

import numpy as np

import captions
from captions import caption
from grammar import ACTORS, CAMERAS, COLORS, FARS, GROUNDS, MOTIONS, TIMES, WEATHERS, Actor, Scene, sample_scene, vary_scene

MANY = 12000
#: Tables by attribute: {value of the attribute: phrases that say it}.
TABLES = {
    "time": captions._TIMES, "far": captions._FARS, "ground": captions._PLACES, "weather": captions._WEATHERS, "camera": captions._CAMERAS,
}


#: What a phrase must hold to mean a value, written apart from the grammar: a phrase in the wrong row has no such word, or
#: one of another row.
KEYS = {
    "time": {"dawn": r"dawn|sunrise|morning", "day": r"daytime|sunny|by day|daylight|blue sky|noon", "sunset": r"sunset|evening|orange|dusk|sun sets",
             "night": r"night|star|moon|midnight"},
    "far": {"mountains": "mountain", "city": "city|skyscraper", "forest": "forest|tree", "hills": "hill"},
    "ground": {"sea": "sea|wave|ocean|water", "meadow": "meadow|grass|field(?<!snow field)", "desert": "desert|sand", "snow": "snow|winter",
               "street": "street|road"},
    "weather": {"rain": "rain", "snow": "snow", "leaves": "leaves", "fireflies": "fireflies", "none": "clear"},
    "camera": {"left": "left", "right": "right", "in": r"\bin\b|closer", "out": r"\bout\b|away", "static": "static|still"},
    "motion": {"left": r"(?<!from the )left$|from the right$", "right": r"(?<!from the )right$|from the left$", "up": r"\bup|ris(es|ing)|climb", "down": "fall|down|descend",
               "bounce": "bounc|hop|jump|leap", "circle": "circl|loop"},
}


def phrases():
    """Every phrase of the grammar, as (what it says, phrase)."""
    for name, table in TABLES.items():
        yield from ((f"{name} {value}", phrase) for value, options in table.items() for phrase in options)
    yield from ((f"kind {kind}", name) for kind, names in captions._NAMES.items() for name in names)
    yield from ((f"color {color}", name) for color, names in captions._COLOR_NAMES.items() for name in names)
    yield from ((f"motion {motion}", p) for motion, options in captions._MOTIONS.items() for p in options)
    for kind, motions in captions._KIND_MOTIONS.items():
        yield from ((f"{kind} {motion}", p) for motion, options in motions.items() for p in options)
    yield from (("shelter", phrase) for phrase in captions._SHELTERS)
    yield from (("style", phrase) for phrase in captions._STYLES)


def says(text: str, phrase: str) -> bool:
    """Whether the words of the phrase stand in the text, one after the other."""
    words = [w.strip(",.") for w in text.lower().split()]
    wanted = phrase.lower().split()
    return any(words[i : i + len(wanted)] == wanted for i in range(len(words)))


def truths(scene: Scene) -> dict[str, set]:
    """Per attribute, the values that are true of the scene."""
    return {"time": {scene.time}, "far": {scene.far}, "ground": {scene.ground}, "weather": {scene.weather}, "camera": {scene.camera},
            "kind": {a.kind for a in scene.actors}, "color": {a.color for a in scene.actors}, "motion": {a.motion for a in scene.actors}}


class Reach(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        rng = np.random.default_rng(1)
        cls.scenes = [sample_scene(rng) for _ in range(MANY)]
        cls.lines = [caption(s, rng, full=bool(i % 2)) for i, s in enumerate(cls.scenes)]

    def test_every_phrase_is_reachable(self):
        text = "\n".join(self.lines).lower()
        missing = [f"{what}: {phrase}" for what, phrase in phrases() if phrase.lower() not in text]
        self.assertEqual(missing, [])

    def test_every_value_of_every_attribute_is_drawn(self):
        drawn = {name: set().union(*(truths(s)[name] for s in self.scenes)) for name in truths(self.scenes[0])}
        wanted = {"time": TIMES, "far": FARS, "ground": GROUNDS, "weather": WEATHERS, "camera": CAMERAS, "kind": ACTORS,
                  "color": COLORS, "motion": MOTIONS}
        self.assertEqual(drawn, {name: set(values) for name, values in wanted.items()})
        self.assertEqual({s.shelter for s in self.scenes}, {False, True})
        self.assertEqual({len(s.actors) for s in self.scenes}, {0, 1, 2})


class Rows(unittest.TestCase):
    def test_phrases_stand_in_the_right_row(self):
        for name, keys in KEYS.items():
            tables = [TABLES[name]] if name in TABLES else [captions._MOTIONS, *captions._KIND_MOTIONS.values()]
            for table in tables:
                for value, options in table.items():
                    for phrase in options:
                        meant = {v for v, key in keys.items() if re.search(key, phrase)}
                        if (name, value) == ("motion", "bounce"):
                            meant -= {"up", "down"}  # hopping up and down
                        self.assertEqual(meant, {value}, f"{name}: {phrase}")


class Truth(unittest.TestCase):
    def test_scenes_keep_the_rules_of_the_actors(self):
        rng = np.random.default_rng(2)
        for _ in range(3000):
            scene = sample_scene(rng)
            for s in (scene, vary_scene(scene, rng)):
                for actor in s.actors:
                    grounds, motions = ACTORS[actor.kind]
                    self.assertIn(s.ground, grounds)
                    self.assertIn(actor.motion, motions)
                self.assertTrue(s.ground == "street" or not s.shelter)

    def test_a_caption_never_contradicts_its_scene(self):
        rng = np.random.default_rng(3)
        # A phrase may belong to several values ("rolling hills" and "the ball rolls"): it is wrong only if all are untrue.
        meanings = {}
        for what, phrase in phrases():
            name, _, value = what.partition(" ")
            if name in ACTORS:  # a motion of one kind
                name = "motion"
            if name in ("style", "shelter"):
                continue
            meanings.setdefault((name, phrase.lower()), set()).add(value)
        # Single words that are part of phrases about something else: "a green meadow", "an orange sky", "a beach ball".
        colored = [p.lower() for name in ("time", "far", "ground") for p in itertools.chain(*TABLES[name].values())]
        for _ in range(1500):
            scene = sample_scene(rng)
            true = truths(scene)
            text = caption(scene, rng, full=True)
            plain = text.lower().replace(",", " ").replace(".", " ")
            for (name, phrase), values in meanings.items():
                if name == "color":
                    rest = plain
                    for other in colored:
                        rest = rest.replace(other, " ")
                    found = says(rest, phrase)
                elif name == "kind":
                    found = says(plain.replace("in front of", ""), phrase) and not (phrase == "car" and "taxi" in plain)
                else:
                    found = says(text, phrase)
                if not found or values & true[name]:
                    continue
                # Not untrue when the words are a piece of a longer phrase that is true.
                longer = [p for (n, p), v in meanings.items() if p != phrase and says(p, phrase) and v & true.get(n, set()) and says(text, p)]
                shelter = scene.shelter and any(says(p, phrase) and says(text, p) for p in captions._SHELTERS)
                self.assertTrue(longer or shelter, f"{name} {values} in {text!r} of {scene}")

    def test_a_full_caption_says_everything(self):
        rng = np.random.default_rng(4)
        for _ in range(1500):
            scene = sample_scene(rng)
            text = caption(scene, rng, full=True)
            for name, table in TABLES.items():
                value = getattr(scene, name)
                if value in ("none", "static"):
                    continue
                options = captions._SHELTERS if name == "ground" and scene.shelter else table[value]
                self.assertTrue(any(says(text, p) for p in options), f"{name} {value} not in {text!r}")
            for actor in scene.actors:
                for options in (captions._COLOR_NAMES[actor.color], captions._NAMES[actor.kind],
                                (*captions._MOTIONS[actor.motion], *captions._KIND_MOTIONS.get(actor.kind, {}).get(actor.motion, ()))):
                    self.assertTrue(any(says(text, p) for p in options), f"{actor} not in {text!r}")

    def test_the_same_seed_gives_the_same_words(self):
        scene = Scene("night", "city", "street", (Actor("bus", "yellow", "right"),), "rain")
        self.assertEqual(*(caption(scene, np.random.default_rng(9)) for _ in range(2)))


if __name__ == "__main__":
    unittest.main()
