"""Is what is chosen in the settings what is asked for, and is a refusal shown where it belongs?"""

import json

import pytest
from playground.panels import LASTING_PLACES, Inspector, Settings
from playground.visiting import Visit, Visits
from playwright.async_api import Locator, expect
from web.outside import said

from support import MODEL

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

REFUSED = "status of 422"
TRANSPORTS = ("WebSocket", "SSE")


async def fault_of(field: Locator) -> str:
    """What is said to be wrong with a field, by what describes it to a screen reader."""
    await expect(field).to_have_attribute("aria-invalid", "true")
    text: str = await field.evaluate(
        "field => document.getElementById(field.getAttribute('aria-describedby').split(' ')[0])"
        ".textContent"
    )
    return text


async def body_of(visit: Visit) -> dict[str, object]:
    """What Groq is asked, without what is always there."""
    await visit.ask("Hello")
    await visit.running.script.request_count(1)
    return visit.running.script.requests[0].body


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_each_fault_stands_beside_its_field(visits: Visits, transport: str) -> None:
    async with visits.opened() as visit:
        visit.watch.expect(REFUSED)
        settings = Settings(visit)
        await Inspector(visit).transport(transport).check()
        await settings.open()
        await settings.text("Temperature").fill("3.5")
        await settings.text("Max tokens").fill("many")
        await settings.text("Seed").fill("1.5")
        await settings.add_stop("END", "")
        await settings.done()

        await visit.ask("Hello")

        await expect(settings.root.get_by_role("alert")).to_have_text(
            "The service refused 4 settings."
        )
        await expect(settings.text("Temperature")).to_be_focused()
        faults = [
            await fault_of(settings.text(name))
            for name in ("Temperature", "Max tokens", "Seed", "Stop 2")
        ]
        assert faults == [
            "must be between 0.0 and 2.0, got 3.5",
            'must be an integer, got "many"',
            "must be an integer, got 1.5",
            "must not be empty",
        ]
        await expect(settings.root.locator("[aria-invalid]")).to_have_count(4)
        assert visit.running.script.requests == []


async def test_a_fault_goes_away_as_its_field_is_edited(visits: Visits) -> None:
    async with visits.opened(said("Hello")) as visit:
        visit.watch.expect(REFUSED)
        settings = Settings(visit)
        await settings.open()
        await settings.text("Top p").fill("7")
        await settings.done()
        await visit.ask("Hello")
        await expect(settings.text("Top p")).to_have_attribute("aria-invalid", "true")

        await settings.text("Top p").fill("0.7")

        await expect(settings.root.locator("[aria-invalid]")).to_have_count(0)
        await settings.done()
        body = await body_of(visit)
        assert body["top_p"] == 0.7


async def test_the_page_says_the_range_before_the_service_does(visits: Visits) -> None:
    async with visits.opened() as visit:
        settings = Settings(visit)
        await settings.open()

        await settings.text("Temperature").fill("3.5")

        await expect(settings.root.locator(".field-help.alarming")).to_have_text(
            "A number from 0 to 2. The service refuses anything else."
        )


async def test_a_model_that_groq_does_not_serve_is_refused_at_the_model(visits: Visits) -> None:
    async with visits.opened() as visit:
        visit.watch.expect(REFUSED)
        settings = Settings(visit)
        await settings.open()
        await settings.model.select_option(label="Llama 3.1 8B Instant")
        said_at_once = settings.root.get_by_role("status").filter(has_text="Groq does not serve")
        await expect(said_at_once).to_be_visible()
        await settings.done()

        await visit.ask("Hello")

        assert "llama-3.1-8b-instant" in await fault_of(settings.model)
        await settings.root.get_by_role("button", name="Use GPT-OSS 20B").click()
        await expect(settings.model).to_have_value(MODEL)
        await expect(settings.root.locator("[aria-invalid]")).to_have_count(0)


async def test_only_what_is_chosen_is_sent(visits: Visits) -> None:
    async with visits.opened(said("Hello")) as visit:
        settings = Settings(visit)
        await settings.open()
        await settings.text("System prompt").fill("Be brief.")
        await settings.text("Temperature").fill("0.30")
        await settings.text("Top p").fill("0.5")
        await settings.choice("Reasoning effort").select_option("high")
        await settings.add_stop("END", "\n\n")
        await settings.root.get_by_role("button", name="Reset top p to its default").click()
        await settings.done()

        body = await body_of(visit)

        assert body["temperature"] == 0.3
        assert body["stop"] == ["END", "\n\n"]
        assert body["reasoning_effort"] == "high"
        assert body["messages"] == [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Hello"},
        ]
        assert "top_p" not in body
        assert "seed" not in body


@pytest.mark.parametrize(
    ("name", "typed", "sent"),
    [
        ("temperature", "0,5", 0.5),
        ("temperature", " ,5 ", 0.5),
        ("top_p", "1e-1", 0.1),
        ("seed", "-3", -3),
    ],
)
async def test_a_number_is_written_as_people_do(
    visits: Visits, name: str, typed: str, sent: float
) -> None:
    async with visits.opened(said("Hello")) as visit:
        settings = Settings(visit)
        await settings.open()
        await settings.text(name.capitalize().replace("_", " ")).fill(typed)
        await settings.done()

        assert (await body_of(visit))[name] == sent


async def test_only_where_no_minus_is_needed_the_keyboard_is_for_decimals(visits: Visits) -> None:
    async with visits.opened() as visit:
        settings = Settings(visit)
        await settings.open()

        await expect(settings.text("Temperature")).to_have_attribute("inputmode", "decimal")
        await expect(settings.text("Seed")).not_to_have_attribute("inputmode", "decimal")


async def test_a_text_that_is_removed_leaves_the_focus_beside_it(visits: Visits) -> None:
    async with visits.opened() as visit:
        settings = Settings(visit)
        await settings.open()
        await settings.add_stop("A", "B", "C", "D")
        remove = settings.root.get_by_role("button", name="Remove stop")

        await remove.nth(1).press("Enter")
        await expect(settings.text("Stop 2")).to_be_focused()
        await expect(settings.text("Stop 2")).to_have_value("C")
        await remove.nth(2).press("Enter")
        await expect(settings.text("Stop 2")).to_be_focused()
        await remove.nth(1).press("Enter")
        await expect(settings.text("Stop 1")).to_be_focused()
        await remove.press("Enter")

        await expect(settings.root.get_by_role("button", name="Add to stop")).to_be_focused()


async def test_a_slider_moves_its_number(visits: Visits) -> None:
    async with visits.opened(said("Hello")) as visit:
        settings = Settings(visit)
        await settings.open()
        slider = settings.root.get_by_role("slider", name="Temperature, slider")
        await expect(slider).to_have_attribute("aria-valuetext", "default")

        await slider.press("ArrowRight")

        await expect(settings.text("Temperature")).to_have_value("1.01")
        await settings.done()
        assert (await body_of(visit))["temperature"] == 1.01


async def test_another_model_keeps_what_fits(visits: Visits) -> None:
    async with visits.opened(said("Hello")) as visit:
        settings = Settings(visit)
        await settings.open()
        await settings.text("Temperature").fill("0.3")
        await settings.text("Max tokens").fill("30000")
        await settings.choice("Reasoning effort").select_option("low")

        await settings.model.select_option(label="ALLaM 2 7B")

        await expect(settings.text("Temperature")).to_have_value("0.3")
        await expect(settings.text("Max tokens")).to_have_value("")
        await expect(settings.choice("Reasoning effort")).to_have_count(0)
        await expect(settings.root.get_by_text("Not sent, as this model")).to_have_text(
            "Not sent, as this model does not take it: Max tokens, Reasoning effort."
        )
        await settings.model.select_option(label="GPT-OSS 120B")
        await expect(settings.text("Max tokens")).to_have_value("30000")
        await expect(settings.choice("Reasoning effort")).to_have_value("0")
        await settings.done()
        body = await body_of(visit)
        assert body["model"] == "openai/gpt-oss-120b"
        assert body["max_completion_tokens"] == 30000


async def test_the_browser_keeps_the_choice(visits: Visits) -> None:
    async with visits.opened() as visit:
        settings = Settings(visit)
        await settings.open()
        await settings.model.select_option(label="Qwen3.8 27B")
        await settings.text("Temperature").fill("0.3")
        await settings.text("System prompt").fill("Be brief.")
        await settings.add_stop("END")

        await visit.page.reload()
        await settings.open()

        await expect(settings.model).to_have_value("qwen/qwen3.8-27b")
        await expect(settings.text("Temperature")).to_have_value("0.3")
        await expect(settings.text("System prompt")).to_have_value("Be brief.")
        await expect(settings.text("Stop 1")).to_have_value("END")
        await settings.root.get_by_role("button", name="Reset all").click()
        await expect(settings.text("Temperature")).to_have_value("")
        await expect(settings.text("Stop 1")).to_have_count(0)
        assert "0.3" not in await visit.page.evaluate(LASTING_PLACES)


async def test_every_model_of_the_catalogue_can_be_chosen_and_says_what_it_is(
    visits: Visits,
) -> None:
    async with visits.opened() as visit:
        settings = Settings(visit)
        await settings.open()
        answer = await visit.running.client.get("/api/models")
        for model in (await answer.json())["items"]:
            await settings.model.select_option(model["id"])

            facts = settings.root.locator(".facts")
            await expect(facts).to_contain_text(model["id"])
            await expect(facts).to_contain_text(f"{model['context_window']:,} tokens")
            labels = await settings.root.locator(".field-list .field").count()
            supported = [it for it in model["parameters"].values() if it["supported"]]
            assert labels == len(supported)


async def test_what_no_longer_fits_is_not_sent_and_is_named(visits: Visits) -> None:
    kept = {
        "model": "groq/retired",
        "hyperparameters": {
            "temperature": 0.3,
            "top_p": 7,
            "stop": [""],
            "reasoning_effort": "odd",
        },
        "apart": {"magic": True, "seed": 7},
    }
    async with visits.opened(said("Hello"), init_script=remembering(kept)) as visit:
        notice = visit.page.locator(".notice")

        await expect(notice).to_contain_text(
            "groq/retired, which you had chosen, is not offered any more: GPT-OSS 20B answers."
        )
        await expect(notice).to_contain_text(
            "No longer fits, and is not sent: Magic, Top p, Stop, Reasoning effort."
        )
        body = await body_of(visit)
        assert body["model"] == MODEL
        assert body["temperature"] == 0.3
        assert body["seed"] == 7
        assert body.keys().isdisjoint({"top_p", "stop", "reasoning_effort", "magic"})
        await visit.page.reload()
        await expect(visit.page.locator("body[data-ready]")).to_be_attached()
        await expect(notice).to_have_count(0)


@pytest.mark.parametrize("kept", ["[]", "text", 7, {"apart": "text", "hyperparameters": [1]}])
async def test_settings_that_are_none_are_as_good_as_no_settings(
    visits: Visits, kept: object
) -> None:
    async with visits.opened(said("Hello"), init_script=remembering(kept)) as visit:
        body = await body_of(visit)

        assert body["model"] == MODEL
        assert "0" not in body


def remembering(settings: object) -> str:
    """A browser that has kept these, once."""
    return (
        "if (origin !== 'null' && !localStorage.getItem('ai-library.settings'))"
        f" localStorage.setItem('ai-library.settings', {json.dumps(json.dumps(settings))});"
    )
