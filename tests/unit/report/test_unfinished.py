"""Where an unfinished experiment stands, in words."""

from __future__ import annotations


def test_a_run_whose_worker_died_is_shown_as_waiting_for_another() -> None:
    from likewise.producer.report.status import UnfinishedDocument
    from likewise.shared.ledger.records import RunRecord

    run = RunRecord(
        run_id="0000000000", experiment_id="1111111111", framework="torch", queue="train.torch.any",
        state="leased", attempt=1, fence=1, worker="gone", submitted_s=1, claimed_s=2,
    )  # fmt: skip
    for live, state in ((["gone"], "training"), (["other"], "waiting for another worker")):
        document = UnfinishedDocument(record=None, runs=[run], now_s=3, live=live)  # type: ignore[arg-type]
        (table,) = document.tables()
        assert table.rows[0][1] == state
