"""The renderer: same seed, same pixels; every attribute shows; sizes and covers as promised."""

import unittest
from dataclasses import asdict, replace

import numpy as np

from grammar import ACTORS, CAMERAS, COLORS, FARS, GROUNDS, TIMES, WEATHERS, Actor, Scene, sample_scene, scene_from_dict
from scenes import soften, paint, paint_switch, render

SIZE = (33, 64, 40, 16.0)
SCENE = Scene("day", "hills", "meadow", (Actor("balloon", "red", "up"),), seed=4)


def clip(scene: Scene, at=(0, 16, 32)) -> np.ndarray:
    return paint(scene, *SIZE, at)[0]


class Render(unittest.TestCase):
    def test_same_seed_same_pixels(self):
        for seed in range(12):
            one, two = (sample_scene(np.random.default_rng(seed)) for _ in range(2))
            self.assertEqual(one, two)
            self.assertTrue(np.array_equal(clip(one), clip(two)))

    def test_shape_and_type(self):
        picture = render(SCENE, 5, 128, 80)
        self.assertEqual((picture.shape, picture.dtype), ((5, 80, 128, 3), np.uint8))
        self.assertGreater(picture.std(), 10)

    def test_single_frames_are_those_of_the_clip(self):
        rng = np.random.default_rng(5)
        for _ in range(12):
            scene = sample_scene(rng)
            whole, cast = paint(scene, *SIZE)
            some, some_cast = paint(scene, *SIZE, [3, 20])
            # Faint light at the edge of an actor's box depends on how far the actor goes in the frames painted.
            self.assertLess(np.abs(some - whole[[3, 20]]).mean(), 1e-3)
            self.assertLess(np.abs(some_cast - cast[[3, 20]]).mean(), 1e-3)

    def test_every_value_of_every_attribute_changes_the_picture(self):
        for name, values in (("time", TIMES), ("far", FARS), ("ground", GROUNDS), ("weather", WEATHERS), ("camera", CAMERAS)):
            self.all_differ(name, [replace(SCENE, **{name: value}) for value in values])
        self.all_differ("color", [replace(SCENE, actors=(Actor("balloon", color, "up"),)) for color in COLORS])
        for ground in GROUNDS:
            kinds = [kind for kind, (grounds, _) in ACTORS.items() if ground in grounds]
            actors = [Actor(kind, "blue", motion) for kind in kinds for motion in ACTORS[kind][1]]
            self.all_differ(f"actor, {ground}", [replace(SCENE, ground=ground, actors=(actor,)) for actor in actors])
        street = replace(SCENE, ground="street")
        self.all_differ("shelter", [street, replace(street, shelter=True)])

    def all_differ(self, name, scenes):
        pictures = [clip(scene) for scene in scenes]
        for i, one in enumerate(pictures):
            for j, two in enumerate(pictures[:i]):
                self.assertGreater(np.abs(one - two).mean(), 1e-3, f"{name}: {scenes[i]} looks like {scenes[j]}")

    def test_cover_is_where_the_actor_is(self):
        for kind, (grounds, motions) in ACTORS.items():
            scene = replace(SCENE, ground=grounds[0], actors=(Actor(kind, "pink", motions[0]),))
            with_actor, cast = paint(scene, *SIZE, [16])
            without, nothing = paint(replace(scene, actors=()), *SIZE, [16])
            changed = np.abs(with_actor - without).max(-1) > 0.02
            self.assertEqual(nothing.max(), 0)
            self.assertGreater(cast.mean(), 0.01, kind)
            # Glows, smoke and mirror images reach further than the actor itself, and paper may match what is behind it.
            self.assertGreater(changed[cast > 0.5].mean(), 0.7, kind)

    def test_actors_stay_in_the_picture(self):
        rng = np.random.default_rng(6)
        for kind, (grounds, motions) in ACTORS.items():
            for motion in motions:
                scene = replace(SCENE, ground=grounds[0], actors=(Actor(kind, "green", motion),), seed=int(rng.integers(1 << 30)))
                _, cast = paint(scene, *SIZE, [0, 16, 32])
                self.assertGreater(cast.mean((1, 2)).min(), 0.005, f"{kind} {motion}")

    def test_motion_goes_where_it_is_said_to_go(self):
        axes = {"left": (2, -1), "right": (2, 1), "up": (1, -1), "down": (1, 1)}
        for kind, (grounds, motions) in ACTORS.items():
            for motion in set(motions) & set(axes):
                for camera in CAMERAS:
                    scene = replace(SCENE, ground=grounds[0], camera=camera, actors=(Actor(kind, "green", motion),))
                    _, cast = paint(scene, *SIZE, [8, 24])
                    axis, sign = axes[motion]
                    middle = [(cover.sum(2 - axis) * np.arange(cover.shape[axis - 1])).sum() / cover.sum() for cover in cast]
                    self.assertGreater(sign * (middle[1] - middle[0]), 2, f"{kind} {motion}, camera {camera}")

    def test_a_change_begins_and_ends_with_its_scenes(self):
        other = replace(SCENE, time="night", weather="rain")
        picture, _ = paint_switch(SCENE, other, 9, *SIZE)
        np.testing.assert_allclose(picture[:8], paint(SCENE, *SIZE)[0][:8], atol=1e-5)
        np.testing.assert_allclose(picture[20:], paint(other, *SIZE)[0][20:], atol=1e-5)

    def test_records_come_back(self):
        rng = np.random.default_rng(7)
        for _ in range(50):
            scene = sample_scene(rng)
            self.assertEqual(scene_from_dict(asdict(scene)), scene)


class Lens(unittest.TestCase):
    def test_a_point_spreads_by_half_a_pixel_of_variance_and_keeps_its_light(self):
        for height, variance in ((40, 0.125), (80, 0.5), (160, 2.0)):
            with self.subTest(height=height):
                picture = np.zeros((1, height, 2 * height), np.float32)
                picture[0, height // 2, height] = 1
                soften(picture)
                self.assertAlmostEqual(float(picture.sum()), 1, places=5)
                for profile, at in ((picture[0].sum(0), height), (picture[0].sum(1), height // 2)):
                    self.assertAlmostEqual(float((profile * (np.arange(len(profile)) - at) ** 2).sum()), variance, places=4)

    def test_flat_colours_stay_as_they_are_to_the_edge(self):
        picture = np.full((2, 80, 128), 0.3, np.float32)
        soften(picture)
        np.testing.assert_allclose(picture, 0.3, atol=1e-6)


if __name__ == "__main__":
    unittest.main()
