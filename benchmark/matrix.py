"""docs/reliability.md: what may go wrong, what is expected then, and the tests that show it; run, timed, tabulated.

``python -m benchmark.matrix`` runs every named test, slow ones too, and writes the table; ``--rows 4,5`` runs those rows and
keeps what the page says of the others.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from benchmark import CHECKOUT
from benchmark.atomic import write_bytes

PAGE = CHECKOUT / "docs" / "reliability.md"
BEGIN, END = "<!-- matrix: begin -->", "<!-- matrix: end -->"
NOT_RUN = "not run"


@dataclass(frozen=True)
class Fault:
    """A row: ``tests`` are ids of pytest (a file, or file::function); without any, ``waits`` says why."""

    number: int
    what: str
    expected: str
    tests: tuple[str, ...] = ()
    waits: str = ""


def _in(file: str, *names: str) -> tuple[str, ...]:
    return tuple(f"tests/test_{file}.py::test_{name}" for name in names)


FAULTS = (
    Fault(
        1,
        "SIGKILL of a cell at any step",
        "the next run goes on from the last checkpoint; record and weights are the same bits",
        _in("stress", "killed_grids_end_with_the_same_bytes")
        + _in("contracts", "a_killed_run_resumes_to_the_same_bits")
        + _in("pretrain", "a_cell_stopped_at_any_step_resumes_to_the_same_bits"),
    ),
    Fault(
        2,
        "SIGKILL while a record or checkpoint is written",
        "the old file stays whole, drafts are removed by the next run",
        _in("record", "a_killed_writer_leaves_whole_files", "preflight_spares_the_drafts_of_living_processes"),
    ),
    Fault(
        3,
        "truncated file or flipped bit in a checkpoint or record",
        "set aside as `.corrupt` with a warning, run again",
        _in("faults", "a_damaged_checkpoint_is_set_aside_and_the_cell_begins_anew")
        + _in("record", "a_truncated_record_is_set_aside_and_run_again", "every_changed_value_is_noticed"),
    ),
    Fault(
        4,
        "SIGINT, SIGTERM, SIGUSR1, SIGUSR2; a SLURM job near its end",
        "checkpoint within one step, exit code 130 or 143, resumable; the job is queued again",
        _in(
            "faults_signals",
            "a_signal_saves_within_one_step_and_says_so_in_the_exit_code",
            "a_signal_between_two_steps_is_saved_too",
            "slurm_is_asked_once_to_queue_the_job_again",
            "a_queue_that_refuses_is_told_in_one_sentence",
        )
        + _in("cli", "an_interrupted_board_says_so_and_would_resume_from_its_checkpoint"),
    ),
    Fault(
        5,
        "second signal during a save; signal before step 1, while watching, extracting, probing",
        "the run ends, the checkpoint before stays whole, the next run finishes",
        _in(
            "faults_signals",
            "a_second_signal_in_the_middle_of_a_save_damages_nothing",
            "a_signal_in_any_phase_ends_the_run_and_the_next_one_finishes",
        ),
    ),
    Fault(
        6,
        "many processes finish at the same time",
        "no record and no line of a board is lost",
        _in("concurrent", "many_writers_of_records_and_boards_lose_nothing", "a_slow_board_does_not_undo_a_later_one")
        + _in("stress", "eight_writers_lose_nothing"),
    ),
    Fault(
        7,
        "several processes want the same cell",
        "it is trained once, all get its record",
        _in(
            "concurrent",
            "a_cell_that_several_processes_want_is_trained_once",
            "the_death_of_a_worker_takes_no_finished_record_away",
            "a_lock_whose_file_is_removed_is_still_exclusive",
        ),
    ),
    Fault(
        8,
        "lock of a dead process",
        "the system frees it at once; a living process keeps it, however old",
        _in("faults", "the_lock_of_a_dead_process_is_free_at_once_and_not_before"),
    ),
    Fault(
        9,
        "full disk",
        "one sentence, exit code 2, earlier records whole, resumable when there is space",
        _in(
            "faults",
            "a_full_disk_is_told_and_the_run_goes_on_when_there_is_space",
            "a_checkpoint_that_does_not_fit_keeps_the_one_before",
        ),
    ),
    Fault(
        10,
        "results folder missing, read-only or too small",
        "exit code 3 before any training",
        _in("record", "preflight_names_the_remedy")
        + _in("cli", "an_unwritable_results_folder_is_found_before_training"),
    ),
    Fault(
        11,
        "out of memory",
        "status `oom`, the others go on, the training batch stays; feature extraction halves its batch",
        _in("faults", "too_little_memory_is_a_row_and_the_others_go_on")
        + _in("run", "a_failure_is_a_record", "classes_of_failure")
        + _in("features", "out_of_memory_halves_the_batch_and_changes_nothing"),
    ),
    Fault(
        12,
        "NaN loss, NaN features, collapse",
        "status `nan` with the step, or `collapsed` with scores; nothing but numbers in a board",
        _in("run", "a_failure_is_a_record")
        + _in("pretrain", "divergence_is_raised_with_its_step")
        + _in("faults", "features_that_are_not_finite_are_a_row")
        + _in("features", "non_finite_features_name_the_row")
        + _in("record", "a_score_that_is_not_a_number_is_never_stored")
        + _in("probes", "constant_dimensions_carry_nothing"),
    ),
    Fault(
        13,
        "NaN, empty, wrong shape, one class, fewer rows than a probe needs",
        "a defined result or one sentence with the name of the data set",
        _in(
            "probes",
            "rows_without_a_label_are_dropped",
            "a_class_that_train_never_shows_is_never_predicted",
            "impossible_tasks_end_in_one_sentence",
        )
        + _in("ecg_faults", "dead_leads_are_named_and_gaps_mended"),
    ),
    Fault(
        14,
        "damaged data files",
        "an error that names the file, or a repair that is counted",
        (
            "tests/test_ecg_faults.py",
            "tests/test_eeg_faults.py",
            "tests/test_image_readers.py",
            "tests/test_video_clips.py",
            "tests/test_fuzz_readers.py",
        ),
    ),
    Fault(
        15,
        "hostile input",
        "refused; nothing executed, nothing written outside the results",
        _in("architecture", "nothing_executes_what_it_reads")
        + _in("leaderboard", "text_cannot_break_out_of_a_cell")
        + (
            "tests/test_download.py",
            "tests/test_hostile_files.py",
            "tests/test_hostile_names.py",
            "tests/test_hostile_source.py",
        ),
    ),
    Fault(
        16,
        "leaks between parts",
        "refused, or at chance where labels are dealt at random",
        (
            *_in(
                "probes",
                "shuffled_labels_are_at_chance",
                "nothing_of_test_reaches_the_choice",
                "a_probe_that_reads_test_before_it_has_chosen_fails",
            ),
            "tests/test_canaries.py",
        ),
    ),
    Fault(
        17,
        "typing errors, unknown keys, wrong types",
        "exit code 3 with the nearest name, before any work",
        _in("cli", "bad_input_ends_in_one_sentence_and_leaves_nothing")
        + _in("cell", "wrong_settings_end_in_one_sentence"),
    ),
    Fault(
        18,
        "cached results of other code, data or settings",
        "another key, so it is run again",
        _in(
            "cell",
            "every_leaf_of_the_identity_changes_the_key",
            "every_field_of_a_cell_is_part_of_its_identity",
            "an_edit_makes_exactly_the_importing_methods_stale",
        ),
    ),
    Fault(
        19,
        "run twice, in another order, with more processes, boards deleted",
        "the same bytes in the boards",
        _in("faults", "boards_do_not_depend_on_order_repetition_or_lost_files")
        + _in("run", "two_processes_give_what_one_gives_and_survive_a_death")
        + _in("results", "boards_are_written_again_byte_for_byte"),
    ),
    Fault(
        20,
        "time zone, decimal commas, no HOME, spaces and other letters in paths, a clock that stands still",
        "no effect",
        _in("faults", "place_time_zone_language_and_clock_change_nothing"),
    ),
    Fault(
        21,
        "a cell hangs",
        "told to stop, ten seconds later killed with its children, status `timeout`; the grid goes on",
        _in(
            "faults",
            "a_silent_worker_is_told_to_stop_then_killed",
            "a_hanging_cell_ends_with_its_children_and_the_grid_goes_on",
        ),
    ),
    Fault(
        22,
        "a node of a cluster is lost",
        "its cells go on elsewhere, to the same bits",
        _in(
            "engines",
            "a_node_is_lost_and_its_cell_goes_on_elsewhere",
            "an_engine_gives_what_one_process_gives_and_survives_a_kill",
            "a_killed_job_is_tried_three_more_times",
        ),
    ),
    Fault(
        23,
        "one rank of several dies",
        "the others end, status `error` with the rank and its signal; the next run goes on from the checkpoint",
        _in("ranks", "a_rank_that_dies_is_a_row_and_the_next_run_goes_on"),
    ),
    Fault(
        24,
        "a score far better or worse than ever before",
        "flagged on both sides, exit code 1 (`python -m benchmark.bands`)",
        _in("bands", "scores_outside_of_their_band_are_flagged_on_both_sides", "the_grid_of_today_lies_in_its_bands"),
    ),
    Fault(
        25,
        "the same seed twice, other hash seeds",
        "the same bits",
        _in("pretrain", "two_runs_of_one_seed_are_equal_and_another_seed_is_not")
        + _in("contracts", "same_seed_same_numbers_and_state_round_trip")
        + _in("stress", "the_seed_of_hashes_changes_nothing"),
    ),
    Fault(
        26,
        "a hundred cells in one process",
        "no growth of memory, open files or threads",
        _in("faults", "a_hundred_cells_in_one_process_leave_no_memory_files_or_threads_behind"),
    ),
    Fault(
        27,
        "records and checkpoints of another version",
        "skipped with a message and run again, never misread",
        _in(
            "faults",
            "records_of_another_version_are_skipped_with_a_message_and_run_again",
            "a_damaged_checkpoint_is_set_aside_and_the_cell_begins_anew",
        ),
    ),
    Fault(
        28,
        "seeding torch in a hot loop",
        "one module seeds, and it does so directly",
        _in("architecture", "global_generators_are_seeded_in_one_place"),
    ),
)


def run(faults: list[Fault]) -> dict[int, tuple[str, float]]:
    """Result and seconds of each row: ``12 passed``, ``1 of 12 failed``. One run of pytest for all."""
    ids = sorted({name for fault in faults for name in fault.tests})
    if not ids:
        return {}
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-m",
            "",
            "-p",
            "no:cacheprovider",
            f"--junitxml={report}",
            *ids,
        ]
        subprocess.run(command, cwd=CHECKOUT, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False)
        cases = list(ElementTree.parse(report).iter("testcase")) if report.is_file() else []
    return {fault.number: _sum_up(fault, cases) for fault in faults if fault.tests}


def _sum_up(fault: Fault, cases: list[ElementTree.Element]) -> tuple[str, float]:
    own = [case for case in cases if any(_belongs(case, name) for name in fault.tests)]
    failed = sum(case.find("failure") is not None or case.find("error") is not None for case in own)
    skipped = sum(case.find("skipped") is not None for case in own)
    seconds = sum(float(case.get("time", 0)) for case in own)
    if not own:
        return NOT_RUN, 0.0
    if failed:
        return f"{failed} of {len(own)} failed", seconds
    return f"{len(own) - skipped} passed" + (f", {skipped} skipped" if skipped else ""), seconds


def _belongs(case: ElementTree.Element, name: str) -> bool:
    file, _, function = name.partition("::")
    module = file.removesuffix(".py").replace("/", ".")
    return case.get("classname", "").startswith(module) and function in ("", case.get("name", "").partition("[")[0])


def table(results: dict[int, tuple[str, float]]) -> str:
    """The table of the page: one line per fault."""
    lines = ["| # | fault | expected | tests | result | seconds |", "|--:|---|---|---|---|--:|"]
    for fault in FAULTS:
        result, seconds = results.get(fault.number, (NOT_RUN, 0.0))
        files = ", ".join(
            f"`{name}`" for name in dict.fromkeys(t.partition("::")[0].split("/")[1] for t in fault.tests)
        )
        last = [files, result, f"{seconds:.1f}" if seconds else ""] if fault.tests else ["", fault.waits, ""]
        lines.append(f"| {fault.number} | {fault.what} | {fault.expected} | {' | '.join(last)} |")
    return "\n".join(lines)


def told(page: str) -> dict[int, tuple[str, float]]:
    """What the page says already, by row."""
    found = {}
    for line in page.partition(BEGIN)[2].partition(END)[0].splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 6 and cells[0].isdigit():
            found[int(cells[0])] = (cells[4], float(cells[5] or 0))
    return found


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmark.matrix", description=__doc__)
    parser.add_argument("--rows", help="only these: 4,5")
    parser.add_argument(
        "--table", action="store_true", help="run nothing: write the rows of the code with known results"
    )
    chosen = parser.parse_args(arguments)
    page = PAGE.read_text(encoding="utf-8")
    only = {int(number) for number in re.findall(r"\d+", chosen.rows or "")} or {fault.number for fault in FAULTS}
    results = told(page) | ({} if chosen.table else run([fault for fault in FAULTS if fault.number in only]))
    head, _, rest = page.partition(BEGIN)
    write_bytes(PAGE, f"{head}{BEGIN}\n{table(results)}\n{END}{rest.partition(END)[2]}".encode())
    return int(any("failed" in result for result, _ in results.values()))


if __name__ == "__main__":
    sys.exit(main())
