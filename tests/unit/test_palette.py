"""A brand's colour and what is made of it."""

from typing import Any

import pytest

from engine.templating.palette import luminance, palette, parse_hex


def test_a_dark_colour_has_white_on_it_and_is_its_own_link() -> None:
    assert palette("#0b6b53") == {
        "accent": "#0b6b53",
        "onAccent": "#ffffff",
        "link": "#0b6b53",
        "wash": "#e6efed",
        "tint": "#9dc3ba",
        "darkWash": "#152d2f",
        "darkButton": "#0b6b53",
        "onDarkButton": "#ffffff",
    }


def test_a_light_colour_has_black_on_it_and_links_are_ink() -> None:
    light = palette("#ffd400")
    assert (light["onAccent"], light["link"]) == ("#000000", "#121826")


def test_a_button_too_dark_for_dark_screens_gets_the_tint() -> None:
    black = palette("#000")
    assert (black["darkButton"], black["onDarkButton"]) == ("#999999", "#000000")


@pytest.mark.parametrize("colour", ["red", "#12", "#0b6b5", "#00000;", "", 5, None, ["#000"]])
def test_what_is_no_colour_gives_way_to_the_default(colour: Any) -> None:
    assert palette(colour, "#0b6b53") == palette("#0b6b53")
    assert palette(colour)["accent"] == "#2453d6"
    with pytest.raises(ValueError, match="is no colour; expected #rgb or #rrggbb"):
        parse_hex(colour)


def test_a_colour_may_be_short_and_have_capitals_and_space_around_it() -> None:
    assert parse_hex(" #0A5 ") == (0x00, 0xAA, 0x55)


def test_luminance_is_that_of_the_guidelines() -> None:
    assert luminance(0, 0, 0) == 0
    assert luminance(1, 1, 1) == pytest.approx(1)
    assert luminance(0.03, 0.03, 0.03) == pytest.approx(0.03 / 12.92)
