"""What the steps found, in one table and one JSON; what failed is in both, by name, with the last lines it said."""

import json

# What is too long for a summary stays in the step's own file; the rest of these is said once for all steps.
BULK, SAID_ONCE = {"samples", "losses", "cpu_losses"}, {"version", "step", "provenance"}


def summary(session, result, steps):
    records = [json.loads(path.read_text()) for path in (session.out / f"{step}.json" for step in steps) if path.exists()]
    if not records:
        raise RuntimeError(f"no step has left its file in {session.out}")
    # More than one where calls were made with different programs or on different machines.
    sources = {json.dumps(record["provenance"] | dict(date=None)): record["provenance"] for record in records}
    result |= dict(
        provenance_of_steps=list(sources.values()),
        dates=sorted({record["provenance"]["date"] for record in records}),
        missing=[step for step in steps if step not in {record["step"] for record in records}],
        steps={
            record["step"]: without_bulk({key: value for key, value in record.items() if key not in SAID_ONCE})
            for record in records
        },
    )
    (session.out / "summary.md").write_text(markdown(result, records))


def without_bulk(value):
    if isinstance(value, dict):
        return {key: without_bulk(item) for key, item in value.items() if key not in BULK}
    return [without_bulk(item) for item in value] if isinstance(value, list) else value


def markdown(result, records):
    lines = ["| step | seconds | what was found |", "| --- | --- | --- |"]
    for record in records:
        found = [*in_words(record), *(f"**failed**: {name}" for name in record["failures"])]
        small = ", a try with small sizes" if record["small"] else ""
        lines.append(f"| {record['step']}{small} | {record['seconds']} | {'<br>'.join(found).replace('|', '/')} |")
    lines += ["", f"Not measured: {', '.join(result['missing'])}."] if result["missing"] else []
    if len(result["provenance_of_steps"]) > 1:
        lines += ["", "**The steps were made by different programs or on different machines.**"]
    for source in result["provenance_of_steps"]:
        cards = ", ".join(f"{card['name']}, driver {card['driver_version']}" for card in source["cards"])
        machine = f"{cards or 'no NVIDIA card'}; {source['processor']}, {source['cores']} cores"
        program = f"speedlab build {source['build']}, commit {source['commit'] or 'unknown'}"
        dates = " and ".join(result["dates"])
        lines += ["", f"{machine}; PyTorch {source['torch'] or 'not there'}; {program}; {dates}."]
    for record in records:
        for name, reason in record["failures"].items():
            lines += ["", f"{record['step']}, {name}:", "", *(f"    {line}" for line in reason.splitlines())]
    return "\n".join(lines) + "\n"


def in_words(record):
    """A line for each thing that was found. A step that failed may have found only some of it."""
    lines = []
    if record["step"] == "devices":
        for device in record.get("devices", []):
            probe = device.get("probe", {})
            if "comparison" in probe:
                verdict = "agrees with" if probe["agrees"] else "DISAGREES with"
                difference = f"{probe['comparison']['largest_difference']:.1e}"
                unfused = "" if probe["fusion"] else ", without fused kernels"
                speed = f"{probe['speed']['images_per_second']:.0f} images/s"
                lines.append(f"{device['name']} ({device['model']}) {verdict} the CPU: {difference}{unfused}; {speed}")
    elif record["step"] == "kernels":
        for name, found in record.get("devices", {}).items():
            timed = [line for line in found if "milliseconds" in line]
            differences = [line["largest_difference"] for line in found if "largest_difference" in line]
            if timed:
                ratios = sorted(line["milliseconds_of_burns_operations"] / line["milliseconds"] for line in timed)
                lines.append(
                    f"{name}: {sum(line['agrees'] for line in found)} of {len(found)} agree with the host, by {max(differences):.1e} at most; norms "
                    f"{ratios[len(ratios) // 2]:.1f}x as fast as burn's operations, {ratios[0]:.1f}x to {ratios[-1]:.1f}x"
                )
    elif record["step"] in ("losses", "unet"):
        for name, found in record.get("devices", {}).items():
            labels = ", ".join(sorted({str(arm["device"]) for arm in found["arms"].values()}))
            lines.append(
                f"{name} ({labels}): losses differ from the CPU's by {found['largest']:.1e} at most ({found['at']}), "
                f"by {found['largest_in_first_10']:.1e} in the first 10 steps; {found['steps']} steps{busy(found['arms'].values())}"
            )
    elif record["step"] == "memory":
        for where in ("card", "host"):
            found = record.get(where) or {}
            if "flat" in found:
                slope = f"{found['slope_mib_per_1000_steps']} MiB per 1,000 steps after the first quarter"
                verdict = "flat" if found["flat"] else "NOT FLAT"
                lines.append(f"{record['device']}, {where}: {found['largest_mib']} MiB at most, {slope}: {verdict}")
        if said := busy([record]):
            lines.append(f"{record['device']}{said}")
    elif record["step"].startswith("speed-"):
        for ours, others in record.get("ratios", {}).items():
            speed = record["sides"][ours]["images_per_second"]
            ratios = ", ".join(f"{ratio:.2f}x {name}" for name, ratio in others.items())
            lines.append(f"{record['network']}, batches of {record['batch']}, {ours}: {speed:.0f} images/s; {ratios}")
    elif record["step"] == "features":
        for name, found in record.get("devices", {}).items():
            device, cpu = found["device_images_per_second"], found["cpu_images_per_second"]
            speed = f"{device:.0f} images/s there, " if device else ""
            lines.append(
                f"{found['features']} on {name}: {speed}{cpu:.0f} on the CPU with {found['cpu_threads']} threads; they differ by "
                f"{found['largest_difference']:.1e} of the largest; {found['first_seconds']:.0f} s until the first were there"
            )
    elif record["step"] == "environment":
        lines += [", ".join(f"{key} {value}" for key, value in card.items()) for card in record.get("cards", [])]
    return lines


def busy(found):
    """How much of training a kernel ran on the card, by NVML and whoever started it; nothing where nobody knows."""
    known = [each["utilization"] for each in found if each.get("utilization")]
    if not known:
        return ""
    looked_at = sum(each["looked_at"] for each in known)
    mean = sum(each["mean"] * each["looked_at"] for each in known) / looked_at
    return f"; a kernel ran for {100 * mean:.0f} % of training (by NVML, in {looked_at} of the recorded means)"
