"""The model card that stands beside every artifact."""

from inference.manifest import Manifest
from training.run import RunRecord


def model_card(manifest: Manifest, record: RunRecord) -> str:
    """Return a model card in Markdown from what the artifact and its run say of themselves."""
    data, selection = manifest.data, manifest.selection
    proof = manifest.parity.get("fp32", manifest.parity)
    lines = [
        f"# {manifest.model}, trained in {manifest.framework}",
        "",
        "Takes a grey 48x48 face crop (`pixels`, uint8 [batch, 48, 48]) and gives `logits` and `probabilities` "
        f"(float32 [batch, 7]) for {', '.join(manifest.labels)}.",
        "",
        "| | |",
        "|---|---|",
        f"| parameters | {manifest.parameters:,} ({manifest.precision}) |",
        f"| data | {data.source}, fingerprint `{data.fingerprint[:16]}` |",
        f"| protocol | {data.protocol}: {', '.join(f'{count:,} {part}' for part, count in data.counts.items())} |",
        f"| recipe | {record.settings['recipe']}, seed {record.settings['seed']} |",
        f"| selected on | {selection.part}, epoch {selection.epoch}: accuracy {selection.accuracy:.2%} |",
    ]
    if record.test:
        lines.append(f"| test part | accuracy {record.test['accuracy']:.2%} on {record.test['faces']:,} faces |")
    lines += [
        f"| parity | {proof['faces']:,} faces, largest logit difference {proof['largest_difference']:.2g}, "
        f"{len(proof['near_ties'])} near ties |",
        *_cost_rows(manifest),
        f"| trained | {record.seconds:.0f} s on {record.machine['device']}, commit `{record.commit or 'unknown'}` |",
        "",
        "## Use and misuse",
        "",
        "The label is a guess about how a face looks in one picture, learned from labels that people disagree on. It "
        "says nothing certain about what a person feels. Do not decide about people with it.",
        "",
    ]
    return "\n".join(lines)


def _cost_rows(manifest: Manifest) -> list[str]:
    """What a lower precision costs, a row for each part that it was measured on."""
    return [
        f"| {manifest.precision} on {part} | accuracy {cost['accuracy_fp32']:.2%} before, {cost['accuracy']:.2%} "
        f"after; the same label on {cost['agreement']:.2%} of {cost['faces']:,} faces |"
        for part, cost in manifest.parity.get("parts", {}).items()
    ]
