"""Dictionary: what every column of every CSV in ``results`` means; ``python -m benchmark.dictionary`` writes
results/README.md from it.

A column that several files share has one meaning, in COLUMNS, unless a file gives it another.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields

from benchmark import leaderboard
from benchmark.atomic import write_bytes
from benchmark.lines import Line
from benchmark.overall import Standing
from benchmark.source import CHECKOUT

PAGE = CHECKOUT / "results" / "README.md"


@dataclass(frozen=True)
class Table:
    """A kind of file. pattern: its names (one ``*`` for what varies); made: by which command; about: what a line is;
    columns: in order; own: meanings of columns that say something else here."""

    pattern: str
    made: str
    about: str
    columns: Sequence[str]
    own: Mapping[str, str] = field(default_factory=dict)

    def meaning(self, column: str) -> str:
        return self.own.get(column) or COLUMNS[column]


COLUMNS = {
    "modality": "which modality",
    "dataset": "which data set; `<name>-folds`: all its folds",
    "preset": "which budget preset",
    "data": "eight digits that stand for the fingerprints of all parts of the data",
    "budget": "what was overridden of the preset's budget; empty for nothing",
    "method": "the row",
    "variant": "overrides that make it a row of its own",
    "family": "`jepa`, `mae`, `contrastive`, `supervised`, `reference`",
    "seed": "which seed",
    "status": "how the cell ended: `ok` `collapsed` `nan` `oom` `timeout` `error`",
    "reason": "why it failed",
    "stale": "made by older code; shown, not ranked",
    "task": "what was asked of the features",
    "kind": "`class`, `multilabel` or `value`",
    "probe": "by which probe",
    "metric": "in which metric",
    "value": "the score on the test part",
    "val": "the score on the validation part, by which the probe chose",
    "chosen": "what the probe chose on validation, as JSON",
    "headline": "the task that stands for the data set",
    "nuisance": "a task that good features may ignore",
    "rank": "among rows with a fresh score; equal means share a rank; references and nuisance tasks have none",
    "n_seeds": "seeds with a score (that have every fold)",
    "seeds": "number of seeds",
    "mean": "mean score over seeds",
    "ci95_lo": "lower end of the 95 % interval (hierarchical bootstrap over seeds and test units)",
    "ci95_hi": "upper end",
    "lo": "lower end of the 95 % interval",
    "hi": "upper end",
    "median": "median score over seeds",
    "d_random": "paired difference to `random_init`, in the metric's own direction",
    "d_random_lo": "lower end of its 95 % interval",
    "d_random_hi": "upper end",
    "d_best_baseline": "paired difference to the best row of `mae` and `contrastive`; empty for that row itself",
    "d_best_baseline_lo": "lower end of its 95 % interval",
    "d_best_baseline_hi": "upper end",
    "p_holm": "p of that difference, corrected by Holm over the ranked rows",
    "tie_group": "rows that share a letter are not told apart at 5 %",
    "normalised": "0 = `random_init`, 1 = `supervised` on the same board",
    "normalised_lo": "lower end of its 95 % interval",
    "normalised_hi": "upper end",
    "rankme": "effective number of dimensions of the features",
    "lda_rank": "effective number of dimensions that tell samples apart beyond the spread of their views",
    "std_min": "smallest standard deviation of a dimension",
    "std_mean": "mean standard deviation of a dimension",
    "mean_cosine": "mean cosine of the features of two samples",
    "collapsed": "whether the run collapsed",
    "collapsed_frac": "share of seeds that collapsed",
    "collapse_step": "step from which on they were collapsed, mean over them",
    "pflops": "10¹⁵ operations of the whole pre-training",
    "gflop_encode": "10⁹ operations to encode a sample",
    "gflop_step": "10⁹ operations of a training step per sample",
    "device_s": "seconds of pre-training and feature extraction",
    "pretrain_s": "seconds of pre-training",
    "features_s": "seconds of feature extraction",
    "wall_s": "seconds of the whole cell",
    "samples_per_s": "samples per second of pre-training",
    "step_ms_p50": "median milliseconds of a training step",
    "step_ms_p95": "95 % quantile of them",
    "data_wait": "share of the time of pre-training spent on data",
    "peak_mem_mib": "peak memory in MiB, of the device, else of the process",
    "peak_rss_mib": "peak memory of the process in MiB",
    "peak_device_mib": "peak memory of the device in MiB",
    "params_m": "millions of parameters of the encoder",
    "params_trained_m": "millions of parameters of all that is trained",
    "device": "what it ran on",
    "precision": "in which precision",
    "hardware": "model of the processor or accelerator; a processor with the instructions that torch chose",
    "pareto": "no other ranked row is at least as good in score and `pflops` and better in one of them",
    "augmentation": "what the row was allowed to do to its input: `none`, `crop`, `modality-specific`",
    "hpo_trials": "trials of the search whose settings the row uses; 0: as published",
    "status_counts": "how its cells ended; which folds are missing",
    "reference": "a reference row: shown, not ranked",
    "verified": "the stored predictions give the scores, computed again whenever the file is; empty: none are stored",
    "test_seen": "rows of test that were, themselves or others of their unit, in train; empty: none, or not counted",
    "key": "name of the record",
    "verdict": "in words",
    "steps": "training steps",
    "rounds": "rounds of measuring, taken in turns",
    "batch_size": "samples of a batch",
    "torch": "version of torch",
    "source": "where the claim stands",
    "coverage": "share of the data sets on which it has a score",
    "win_rate": "share of comparisons that it wins",
    "mean_rank": "mean rank over data sets",
}  # fmt: skip

TABLES = (
    Table("runs.csv", "make board", "a cell × task × probe × metric; a failed cell has one line", leaderboard.RUNS),
    Table("leaderboard_*.csv", "make board", "a board × task × probe × row", [one.name for one in fields(Line)]),
    Table("leaderboard.csv", "make board", "a preset × method, across data sets and modalities",
          [one.name for one in fields(Standing)], {
              "rank": "by `normalised`; references have none",
              "normalised": "mean normalised score, modalities weighted equally; a missing data set counts 0",
              "normalised_present": "the same without the missing data sets",
              "mean_rank": "mean rank over data sets; a missing one ranks last",
              "mean_rank_lo": "lower end of its 95 % interval", "mean_rank_hi": "upper end",
              "iqm": "mean of the middle half of the normalised scores of all runs",
              "worst": "lowest normalised score of a data set", "worst_dataset": "and which that is",
              "win_rate": "share of data sets and other methods whose mean is beaten",
              "bt": "Bradley–Terry strength in log-odds, ridge-penalised", "bt_lo": "lower end of its 95 % interval",
              "bt_hi": "upper end", "n_datasets": "data sets on which the method has a score",
              "n_scaled": "data sets that have a normalised score at all",
              "n_modalities": "modalities in which the method has a score",
              "hpo_trials": "fewest trials of tuning on a data set; 0: as published"}),
    Table("suite_*.csv", "python -m benchmark suite MODALITY", "a row with one probe, across the data sets of a modality",
          ("modality", "preset", "datasets", "method", "variant", "probe", "family", "reference", "elo", "elo_lo", "elo_hi",
           "win_rate", "win_rate_lo", "win_rate_hi", "mean_rank", "improvability", "better", "worse", "untold", "untested",
           "coverage", "device_s"), {
              "datasets": "their names", "elo": "Elo of 1000 for hand-made features with the probe `linear`",
              "elo_lo": "lower end of its 95 % interval (data sets redrawn)", "elo_hi": "upper end",
              "win_rate_lo": "lower end of its 95 % interval", "win_rate_hi": "upper end",
              "improvability": "mean share of its error that the best entry of a data set does not make",
              "better": "data sets on which it is better than that anchor (paired, Holm)", "worse": "on which it is worse",
              "untold": "on which the two are not told apart", "untested": "on which there is no test",
              "device_s": "seconds of pre-training and feature extraction, mean over data sets"}),
    Table("effect_*.csv", "python -m benchmark effect MODALITY method=… --setting …",
          "a value of one setting of a method × data set × probe",
          ("modality", "dataset", "preset", "method", "setting", "value", "published", "task", "probe", "metric", "seeds",
           "mean", "lo", "hi", "difference", "difference_lo", "difference_hi", "p_holm", "verdict", "rankme", "std_min",
           "collapsed"), {
              "setting": "which setting", "value": "its value", "published": "whether the method has this value by itself",
              "difference": "paired difference to the published value", "difference_lo": "lower end of its 95 % interval",
              "difference_hi": "upper end", "p_holm": "p of the difference, corrected over all tests of the probe",
              "collapsed": "share of runs that collapsed"}),
    Table("columns_*.csv", "python -m benchmark columns tabular", "an encoder of a table whose columns are known",
          ("modality", "dataset", "preset", "method", "variant", "family", "seed", "auc_relevant", "auc_signal",
           "share_relevant", "share_redundant", "share_noise"), {
              "auc_relevant": "how well the features' dependence on columns tells relevant ones from noise; .5: not at all",
              "auc_signal": "the same for relevant and redundant columns together",
              "share_relevant": "mean share of the features' variance that hangs on a relevant column",
              "share_redundant": "on a redundant one", "share_noise": "on one of noise"}),
    Table("robustness_*.csv", "python -m benchmark robustness MODALITY dataset=…",
          "a row × task × nuisance, in parts of the test rows by how strong the nuisance is",
          ("modality", "dataset", "data", "preset", "budget", "task", "metric", "probe", "method", "variant", "seeds",
           "factor", "all", "easy", "hard", "drop"), {
              "factor": "the nuisance, or two of them at once", "all": "score of all test rows",
              "easy": "of the third where it is mildest", "hard": "of the third where it is strongest",
              "drop": "1 − hard / easy"}),
    Table("labelfree_*.csv", "python -m benchmark labelfree MODALITY", "a label-free diagnostic on a board",
          ("dataset", "preset", "data", "task", "probe", "metric", "diagnostic", "scope", "n", "methods", "rho", "p"), {
              "diagnostic": "which one", "scope": "`all` checkpoints of a board, or ranked `within` methods",
              "n": "number of checkpoints", "methods": "number of methods",
              "rho": "Spearman's ρ with the score (turned so that more is better)", "p": "of a permutation test"}),
    Table("bev_*.csv", "python -m benchmark bev lidar dataset=…", "a row × question about the cells of ground plans",
          ("modality", "dataset", "preset", "method", "variant", "seeds", "probe", "metric", "labels", "tested", "mean",
           "lo", "hi"), {"labels": "share of the training scenes that have labels", "tested": "data set of the test part"}),
    Table("perf_steps.csv", "make bench-perf", "a training step of a method on a data set, beside a bare loop and a kernel",
          ("dataset", "method", "preset", "device", "batch", "tokens", "steps", "rounds", "suite_ms", "suite_p95_ms",
           "bare_ms", "data_ms", "forward_ms", "backward_ms", "update_ms", "reference_ms", "ratio", "overhead", "data_wait",
           "samples_per_s", "tokens_per_s", "gflop_per_sample", "gflops", "peak_gflops", "mfu", "peak_mib", "threads",
           "precision", "hardware", "torch"), {
              "batch": "samples of an optimiser step", "tokens": "tokens of a sample",
              "suite_ms": "milliseconds of a step of the suite's loop, median over rounds", "suite_p95_ms": "95 % quantile",
              "bare_ms": "milliseconds of a step of a plain loop over the same objective", "data_ms": "of these, on data",
              "forward_ms": "on the forward pass", "backward_ms": "on the backward pass", "update_ms": "on the update",
              "reference_ms": "milliseconds of the reference kernel in the same round",
              "ratio": "the suite's step over the kernel, round by round", "overhead": "suite over bare loop, less one",
              "data_wait": "share of a step spent on data", "tokens_per_s": "tokens per second",
              "gflop_per_sample": "10⁹ counted operations of a step per sample", "gflops": "10⁹ operations per second",
              "peak_gflops": "those of the kernel", "mfu": "the one over the other", "peak_mib": "peak memory in MiB",
              "threads": "number of threads"}),
    Table("perf_scaling.csv", "make bench-perf", "a value of a factor that the time of a step may grow with",
          ("factor", "method", "dataset", "device", "value", "rounds", "step_ms", "exponent", "exponent_low",
           "exponent_high", "threads", "precision", "hardware", "torch"), {
              "factor": "samples, tokens, width, views or rows", "value": "its value",
              "step_ms": "milliseconds of a step, median over rounds", "exponent": "slope of log time over log value",
              "exponent_low": "lower end of its 95 % interval", "exponent_high": "upper end",
              "threads": "number of threads"}),
    Table("perf_engines.csv", "python -m benchmark.perf engines", "many short cells on one engine",
          ("engine", "cells", "workers", "failed", "cell_s", "startup_s", "wall_s", "overhead", "threads", "precision",
           "hardware", "torch"), {
              "engine": "which one", "cells": "number of cells", "workers": "number of workers",
              "failed": "cells that failed", "cell_s": "mean seconds of a cell by itself",
              "startup_s": "seconds until the first cell began", "wall_s": "seconds from then to the end of the last",
              "overhead": "idle and lost time of the workers as a share", "threads": "threads of a cell"}),
    Table("perf_forecast.csv", "python -m benchmark.perf forecast", "a small grid that was foretold and then run",
          ("dataset", "methods", "preset", "cells", "workers", "failed", "unknown", "calibration_s", "forecast_s", "wall_s",
           "error", "threads", "precision", "hardware", "torch"), {
              "methods": "its rows", "cells": "number of cells", "workers": "number of processes",
              "failed": "cells that failed", "unknown": "cells without a forecast",
              "calibration_s": "seconds of the calibration", "forecast_s": "seconds foretold for the grid",
              "wall_s": "seconds that it took, starting processes included",
              "error": "forecast over time taken, less one", "threads": "threads of a cell"}),
    Table("bands.csv", "python -m benchmark.bands store", "where a score of a small grid lies, from several seeds",
          ("dataset", "method", "task", "probe", "metric", "runs", "mean", "sd", "low", "high"), {
              "runs": "seeds behind it", "sd": "standard deviation over seeds",
              "low": "lower end of where one more run lies, 95 % over all lines together", "high": "upper end"}),
    Table("bench_probes.csv", "make bench-probes", "a probe against scikit-learn on the same synthetic features",
          ("classes", "probe", "penalties", "rounds", "cpu_s", "cpu_s_max", "wall_s", "speedup_cpu", "speedup_wall",
           "test_accuracy", "accuracy_gap", "chosen_penalty"), {
              "classes": "number of classes", "penalties": "length of the path", "cpu_s": "CPU seconds, median over rounds",
              "cpu_s_max": "most over rounds", "wall_s": "seconds by the clock, median over rounds",
              "speedup_cpu": "scikit-learn's CPU seconds over these", "speedup_wall": "the same by the clock",
              "test_accuracy": "accuracy on the test part with the chosen penalty",
              "accuracy_gap": "largest difference in test accuracy to scikit-learn solved tightly, at equal penalties",
              "chosen_penalty": "what validation chose"}),
    Table("bench_peers.csv", "make bench-peers", "a training step of one method in one package",
          ("contest", "package", "status", "note", "gflop_per_sample", "flops_ratio", "rounds", "ms", "ms_min", "ms_max",
           "wall_ms", "wall_ms_min", "wall_ms_max", "version", "compared", "batch", "steps", "pixels", "patch", "device",
           "hardware", "threads", "precision", "python", "torch", "timm", "ratio", "ratio_min", "ratio_max", "wall_ratio",
           "verdict"), {
              "contest": "which method", "package": "whose step", "status": "measured, refused or absent", "note": "on what",
              "gflop_per_sample": "10⁹ counted operations of a step per sample", "flops_ratio": "over the suite's",
              "ms": "compared milliseconds of a step, median over rounds", "ms_min": "least", "ms_max": "most",
              "wall_ms": "milliseconds by the clock, median over rounds", "wall_ms_min": "least", "wall_ms_max": "most",
              "version": "of the package", "compared": "which clock `ms` is of", "batch": "samples of a batch",
              "steps": "steps of a round", "pixels": "side of an image", "patch": "side of a patch",
              "threads": "number of threads", "python": "version of Python", "timm": "version of timm",
              "ratio": "this package's `ms` over the suite's, median over rounds", "ratio_min": "least", "ratio_max": "most",
              "wall_ratio": "the same by the clock"}),
    Table("claims.csv", "make claims", "a paper's claim as an experiment (docs/claims.md)",
          ("claim", "state", "outcome", "effect", "lo", "hi", "detectable", "replicates", "seeds", "runs", "runs_needed",
           "cost_s", "pflop", "rule", "says", "found", "paper"), {
              "claim": "its name", "state": "the verdict; `not run` or `partly run` where cells are missing",
              "outcome": "what the effect is", "effect": "the primary outcome, mean over replicates",
              "detectable": "smallest true effect that would be found with 80 % power",
              "replicates": "what the interval is over: data sets, modalities or seeds", "seeds": "fewest paired seeds",
              "runs": "cells, and computations of its own, that are there", "runs_needed": "that it asks for",
              "cost_s": "seconds of one process that they took", "pflop": "10¹⁵ operations of their pre-training",
              "rule": "how it is judged", "says": "what is claimed, in our words", "found": "what stands behind the verdict",
              "paper": "whose claim"}),
    Table("claims_lines.csv", "make claims", "a part of the outcome of a claim that was run to its end",
          ("claim", "what", "effect", "lo", "hi"), {
              "claim": "its name", "what": "the part: a data set or a board", "effect": "the effect there"}),
    Table("embeddings_*.csv", "python -m benchmark embed MODALITY",
          "a test row of the data set as the frozen encoder of a record has it, in the plane of most variance",
          ("method", "variant", "family", "seed", "key", "share_x", "share_y", "x", "y", "task", "label", "nuisance",
           "factor"), {
              "key": "of the record whose encoder it is", "share_x": "share of the variance along x",
              "share_y": "along y", "x": "first principal component", "y": "second", "label": "of the row in the task",
              "nuisance": "a factor that good features may ignore", "factor": "its value for the row"}),
    Table("planted.csv", "make planted", "a method with or without the part that holds it",
          ("method", "control", "removed", "expected", "source", "seeds", "as_expected", "loss_as_expected", "collapsed",
           "verdict", "collapse_step", "std_mean", "std_min", "rankme", "mean_cosine", "z_std", "z_rank", "score", "loss",
           "dataset", "task", "metric", "untrained", "steps", "batch_size", "lr", "torch"), {
              "control": "`intact`, or which control", "removed": "what was taken away", "expected": "what the paper says",
              "as_expected": "runs that ended as it says", "loss_as_expected": "runs whose loss did",
              "collapsed": "runs that collapsed", "z_std": "spread of the normalised projections; 1: evenly, 0: all alike",
              "z_rank": "directions that projections span", "score": "test score of a linear probe", "loss": "last loss",
              "untrained": "score of the encoder that all arms start from", "lr": "learning rate"}),
    Table("simulation_power.csv", "python -m benchmark.simulate", "a kind of simulated board",
          ("seeds", "rows", "units", "seed_sd", "gap", "unstable", "boards", "baseline", "separated"), {
              "rows": "rows of a board", "units": "test units", "seed_sd": "deviation over seeds in points of accuracy",
              "gap": "points by which one row is better", "unstable": "factor on the deviation of one of the equal rows",
              "boards": "number of boards", "baseline": "share of boards on which the best baseline is beaten",
              "separated": "share of boards on which letters tell two rows apart"}),
)  # fmt: skip

HEAD = """\
# Results

Generated by `python -m benchmark.dictionary`; do not edit.

- `records/<modality>/<dataset>/<method>/<key>.json`: one run, with everything that can change its numbers; `<key>.npz`: its
  test predictions. Written atomically, checksummed. This is the truth; commit it. A record that came in a package says in
  `merged` in which ([more](../docs/publish.md)).
- `hpo/<modality>/<dataset>/<preset>/<method>.json`: a search for settings, all its trials and what it chose (`make hpo`);
  commit it.
- `*.csv`, `leaderboard_<modality>.md`: derived from the records, or measured on one machine, by the commands below.
  `make board` writes runs and leaderboards again, byte for byte the same. Do not edit.
- `embeddings_*.csv`: test rows in the plane of most variance of their features (`python -m benchmark embed MODALITY`);
  `figures/masks_*.png`: what a method sees and asks for (`python -m benchmark show-masks`). Shown on the page.
- `index.html`: all of it as one offline page (`make report`); derived, may be written again at any time.
- `.hpo/`: records of trials, not tracked; without them the same search runs again.
- `.logs/`: curves of what was trained here, for TensorBoard and others (`--logger`): not tracked, may be deleted.
- `.cache/` (encoders, features) and `.runs/` (checkpoints of unfinished runs): not tracked, may be deleted at any time;
  `make clean` does.

How numbers come about: [docs/protocol.md](../docs/protocol.md). An empty cell is a number that is not there, never 0; means
are over seeds. Text that a spreadsheet would take for a formula begins with `'`.
"""


def page() -> str:
    """The text of results/README.md."""
    parts = [HEAD]
    for table in TABLES:
        name = table.pattern.replace("*", "…")
        parts.append(f"## {name}\n\n`{table.made}`; a line is {table.about}.\n")
        lines = [f"| `{column}` | {table.meaning(column)} |" for column in table.columns]
        parts.append("\n".join(["| column | meaning |", "|---|---|", *lines]) + "\n")
    return "\n".join(parts)


def main() -> int:
    """Write the page."""
    write_bytes(PAGE, page().encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
