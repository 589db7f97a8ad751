"""Teachers behind servers: a real model on the loopback interface, and everything that goes wrong there."""

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import openai
import pytest
from scipy.stats import spearmanr

from cotutor.config import ServedConfig
from cotutor.embedded import embedded_model
from cotutor.errors import UserError
from cotutor.scoring.served import UnsupportedError, exact, json_schema, letter, named, voting
from cotutor.tasks import make_task
from cotutor.tasks.base import SpokenEnv
from cotutor.teachers import make_teacher
from cotutor.teachers.local import LocalConfig, LocalTeacher
from cotutor.teachers.served import ServedTeacher
from cotutor.types import Option, Question
from tests.teachers.server import Served, free_port, running, serve

TASK = make_task("babyai:GoToRedBall")
OPTIONS = (Option("turn left", 0), Option("turn right", 1), Option("go forward", 2))
QUESTION = Question("The red ball is on your left.", OPTIONS)
TEMPLATE = f"{{context}}\n{TASK.cue}"
QUICK = ServedConfig(retries=0, timeout=20.0)


@pytest.fixture(scope="module")
def local() -> LocalTeacher:
    return LocalTeacher(embedded_model(), config=LocalConfig(template=TEMPLATE, dtype="float32"))


@pytest.fixture
def served(local):
    with serve(local) as server:
        yield server


@pytest.fixture(autouse=True)
def no_settings(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


def teacher(server: Served, config: ServedConfig = QUICK) -> ServedTeacher:
    return ServedTeacher(f"tiny@{server.url}", TEMPLATE, config)


def real_questions(number: int) -> list[Question]:
    env = SpokenEnv(TASK, "image")
    _, info = env.reset(seed=0)
    contexts = [info["context"]]
    while len(dict.fromkeys(contexts)) < number:
        _, _, terminated, truncated, info = env.step(int(np.random.default_rng(len(contexts)).integers(3)))
        if terminated or truncated:
            _, info = env.reset(seed=len(contexts))
        contexts.append(info["context"])
    return [TASK.question(context) for context in dict.fromkeys(contexts)]


def test_echoed_log_probabilities_are_those_of_the_same_model_here(local, served):
    asked = teacher(served)
    assert asked.way is exact
    questions = real_questions(5)
    theirs, ours = asked.score(questions), local.score(questions)
    np.testing.assert_allclose(np.concatenate(theirs), np.concatenate(ours), atol=1e-3)
    asked.calibrate(questions)
    local.calibrate(questions)
    theirs, ours = asked.advice(questions, theirs), local.advice(questions, ours)
    assert min(spearmanr(t_O, o_O).statistic for t_O, o_O in zip(theirs, ours, strict=True)) >= 0.95


def test_echoed_log_probabilities_are_those_of_the_same_model_where_it_has_nothing_more_to_say(local):
    with serve(local, stops=True) as server:
        (theirs_O,) = teacher(server, ServedConfig(how="exact", retries=0)).score([QUESTION])
    np.testing.assert_allclose(theirs_O, local.score([QUESTION])[0], atol=1e-3)


def test_log_probabilities_that_stand_at_the_wrong_tokens_are_not_believed(local):
    with serve(local, displaced=True) as server:
        assert teacher(server).way is letter
        with pytest.raises(UserError, match=r"--served\.how exact"):
            teacher(server, ServedConfig(how="exact", retries=0))


def test_tokens_are_counted_as_the_server_counts_them(served):
    asked = teacher(served)
    before, requests = asked.tokens, len(served.requests)
    asked.score([QUESTION])
    tokenizer = served.teacher.prompter.tokenizer
    prompts = [body["prompt"] for body in served.requests[requests:]]
    assert sorted(prompts) == sorted(f"{QUESTION.context}\n{TASK.cue} {option.phrase}" for option in OPTIONS)
    assert asked.tokens - before == sum(len(tokenizer(prompt)["input_ids"]) + 1 for prompt in prompts)


def test_letters_are_scored_by_the_first_token_of_the_answer(local):
    with serve(local, echoes=False) as server:
        asked = teacher(server)
        assert asked.way is letter
        (scores_O,) = asked.score([QUESTION])
        message = server.requests[-1]["messages"][0]["content"]
        assert "A) turn left\nB) turn right\nC) go forward" in message
        tokens = local.prompter.tokenizer(f"{message}\nAnswer:")["input_ids"]
        logprobs_V = server.logprobs(tokens)[-1].numpy()
    letters = [local.prompter.tokenizer(form, add_special_tokens=False)["input_ids"] for form in ("A", " A")]
    likely = set(np.argsort(logprobs_V)[-20:])
    seen = [logprobs_V[token] for (token,) in letters if token in likely]
    expected = np.logaddexp.reduce(seen) if seen else np.sort(logprobs_V)[-20]
    assert scores_O[0] == pytest.approx(expected, abs=1e-3)


def test_more_options_than_letters_cannot_be_lettered(served):
    client = openai.OpenAI(base_url=served.url, api_key="none")
    with pytest.raises(UnsupportedError):
        letter(client, "tiny", "Which?", [f"number {number}" for number in range(21)])


@pytest.mark.parametrize(
    ("answer", "choice"),
    [
        ("Turn  LEFT!", 0),
        ("You should turn right.", 1),
        ("go forward", 2),
        ("pick up the red ball, slowly", 4),
        ("turn left or turn right", None),
        ("no idea", None),
        ("", None),
    ],
)
def test_an_answer_votes_for_the_one_phrase_that_it_names(answer, choice):
    assert named(answer, ["turn left", "turn right", "go forward", "pick up", "pick up the red ball"]) == choice


def test_votes_are_counted_with_half_a_vote_for_each(local):
    with serve(local, echoes=False, alternatives=False) as server:
        asked = teacher(server, ServedConfig(votes=3, retries=0))
        server.chat = lambda body: {  # the model's own words vary; these name what is offered last
            "choices": [{"index": 0, "message": {"role": "assistant", "content": _last_offered(body)}}]
        }
        (scores_O,) = asked.score([QUESTION])
        np.testing.assert_allclose(np.exp(scores_O), np.full(3, 1.5 / 4.5))
        server.chat = lambda _: {"choices": [{"index": 0, "message": {"role": "assistant", "content": "turn right"}}]}
        (scores_O,) = asked.score([QUESTION])
        np.testing.assert_allclose(np.exp(scores_O), np.array([0.5, 3.5, 0.5]) / 4.5)


@pytest.mark.parametrize("form", ["json_schema", "json_object"])
def test_answers_are_held_to_a_schema_where_the_server_can(local, form):
    with serve(local, echoes=False, alternatives=False, constrains=form) as server:
        asked = teacher(server, ServedConfig(votes=4, retries=0))
        (scores_O,) = asked.score([QUESTION])
        demanded = server.requests[-1]["response_format"]
        schema = demanded["schema"] if form == "json_object" else demanded["json_schema"]["schema"]
        assert sorted(schema["properties"]["choice"]["enum"]) == sorted(o.phrase for o in OPTIONS)
        assert form == "json_object" or demanded["json_schema"]["strict"]
        assert np.exp(scores_O).sum() == pytest.approx(1)
        assert (np.exp(scores_O) * 5.5 - 0.5).round(6).tolist() in [
            [a, b, 4 - a - b] for a in range(5) for b in range(5 - a)
        ]


@pytest.mark.parametrize(
    "said",
    ["turn left", '{"choice": "launch"}', '{"choice": ["turn left"]}', '["turn left"]', "{}", '{"choice": "turn', ""],
)
def test_what_keeps_to_no_schema_does_not_vote(local, said):
    with serve(local, echoes=False, alternatives=False) as server:
        server.chat = lambda _: {"choices": [{"index": 0, "message": {"role": "assistant", "content": said}}]}
        client = openai.OpenAI(base_url=server.url, api_key="none")
        with pytest.raises(UnsupportedError):
            voting(2, json_schema)(client, "tiny", "Which?", ["turn left", "turn right"])


def _last_offered(body) -> str:
    return body["messages"][0]["content"].partition("Choose from: ")[2].partition(".")[0].split(", ")[-1]


def test_a_way_that_the_server_lacks_is_refused_if_it_was_asked_for(local):
    with serve(local, echoes=False) as server, pytest.raises(UserError, match=r"--served\.how votes"):
        teacher(server, ServedConfig(how="exact", retries=0))


def test_questions_are_asked_at_the_same_time(served):
    asked = teacher(served, ServedConfig(concurrency=4, retries=0))
    together = threading.Barrier(4)
    complete = served.completion

    def wait_for_the_others(body):
        together.wait(timeout=20)
        return complete(body)

    served.completion = wait_for_the_others
    asked.score([QUESTION] * 4)
    assert not together.broken


def test_without_a_server_it_is_said_where_none_is():
    url = f"http://127.0.0.1:{free_port()}/v1"
    with pytest.raises(UserError, match=f"There is no server at {url}"):
        ServedTeacher(f"tiny@{url}", TEMPLATE, QUICK)


def test_a_wrong_key_is_refused_and_a_right_one_comes_from_the_environment(local, monkeypatch):
    with serve(local, key="secret") as server:
        monkeypatch.setenv("OPENAI_API_KEY", "secret")
        with pytest.raises(UserError, match="OPENAI_API_KEY"):
            teacher(server)  # a name may come from another person's run, and is told no secret
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", "guess")
        with pytest.raises(UserError, match="wants a valid key"):
            make_teacher("openai:tiny", TASK, served=QUICK)
        monkeypatch.setenv("OPENAI_API_KEY", "secret")
        assert make_teacher("openai:tiny", TASK, served=QUICK).score([QUESTION])[0].shape == (3,)


def test_an_unknown_model_is_the_servers_to_name_and_its_words_are_only_words(served):
    with pytest.raises(UserError, match="no model") as caught:
        ServedTeacher(f"huge@{served.url}", TEMPLATE, QUICK)
    assert "\x1b" not in str(caught.value)


def test_a_server_that_is_busy_for_a_while_is_asked_again(served):
    asked = teacher(served, ServedConfig(retries=3))
    served.failures = 2
    assert np.isfinite(asked.score([QUESTION])[0]).all()
    assert served.failures == 0


@pytest.mark.parametrize(
    ("nonsense", "kind"),
    [
        (b"<html>Welcome</html>", "text/html"),
        (b"{not json", "application/json"),
        (b"[]", "application/json"),
        (b'{"choices": 3}', "application/json"),
        (b'{"choices": []}', "application/json"),
        (
            b'{"choices": [{"logprobs": {"tokens": [1, 2], "token_logprobs": "no"}, "message": null}]}',
            "application/json",
        ),
    ],
)
def test_something_else_at_the_address_is_refused_in_a_sentence(served, nonsense, kind):
    served.nonsense, served.kind = nonsense, kind
    with pytest.raises(UserError, match=served.url):
        teacher(served)


def test_likelihoods_that_are_no_numbers_are_not_believed(local):
    with serve(local, alternatives=False) as server:
        complete = server.completion

        def broken(body):
            reply = complete(body)
            reply["choices"][0]["logprobs"]["token_logprobs"] = [float("nan")] * 99
            return reply

        server.completion = broken
        assert teacher(server).way not in (exact, letter)


def test_a_server_that_does_not_answer_in_time_is_said_to(served):
    asked = teacher(served, ServedConfig(timeout=0.5, retries=0))
    over = threading.Event()
    complete = served.completion

    def late(body):
        over.wait(timeout=20)
        return complete(body)

    served.completion = late
    try:
        with pytest.raises(UserError, match=r"longer than 0\.5 s"):
            asked.score([QUESTION])
    finally:
        over.set()


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("openai:", "which model"),
        ("openai:tiny", "where the server is"),
        ("openai:tiny@http://me:word@127.0.0.1/v1", "No name or password"),
    ],
)
def test_a_name_that_leads_nowhere_is_refused(name, says):
    with pytest.raises(UserError, match=says):
        make_teacher(name, TASK)


def test_what_it_was_calibrated_to_is_saved(served, tmp_path):
    asked, loaded = teacher(served), teacher(served)
    asked.calibrate([QUESTION])
    asked.save(tmp_path)
    loaded.load(tmp_path)
    scores = asked.score([QUESTION])
    np.testing.assert_array_equal(asked.advice([QUESTION], scores)[0], loaded.advice([QUESTION], scores)[0])


@pytest.mark.slow
def test_a_run_is_taught_by_a_server(served, tmp_path):
    run = tmp_path / "run"
    command = f"train --task babyai:GoToRedBallNoDists --teacher openai:tiny@{served.url} --frames 2048 --run-dir {run}"
    small = "--eval-episodes 2 --teacher-eval-episodes 1 --agreement-states 4 --replays 1 --threads 1 --lessons.every 1"
    asked = [*command.split(), *small.split(), "--asking.per-round", "8", "--dialogue.channel", "both"]
    subprocess.run([sys.executable, "-m", "cotutor", *asked], capture_output=True, timeout=200, check=True)
    assert "not repeatable" in (run / "report.html").read_text()
    assert f"openai:tiny@{served.url}" in (run / "config.yaml").read_text()
    assert any("tried" in body["prompt"] for body in served.requests), "feedback was not written into any prompt"


def test_votes_of_a_real_server_of_transformers(tmp_path):
    command = [Path(sys.executable).with_name("transformers"), "serve", "--device", "cpu"]
    with running(command, tmp_path / "log") as url:
        asked = ServedTeacher(f"{embedded_model()}@{url}", TEMPLATE, ServedConfig(votes=3, timeout=120.0))
        assert asked.way not in (exact, letter)
        (scores_O,) = asked.score([QUESTION])
        assert np.exp(scores_O).sum() == pytest.approx(1.0)
        assert asked.tokens > 100


def test_a_vote_is_asked_for_with_the_phrases_in_every_order(served):
    client = openai.OpenAI(base_url=served.url, api_key="none")
    voting(3)(client, "tiny", "Which?", ["a way", "b way", "c way"])
    offers = [body["messages"][0]["content"] for body in served.requests]
    assert [offer.partition("from: ")[2].split(".")[0] for offer in offers] == [
        "a way, b way, c way",
        "b way, c way, a way",
        "c way, a way, b way",
    ]
