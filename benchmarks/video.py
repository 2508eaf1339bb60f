"""Speed and memory of films: `python -m benchmarks.video [--yunet FILE] [--hours 1]`.

Speed: a drawn film of 60 seconds, 1280 x 720 at 25 frames a second, H.264 with B-frames, of four persons, is watched
every 0.2 seconds without a copy, by `ferox watch` in a process of its own, several times; a multiple of real time, from
the first frame on. Memory: that film is repeated for an hour (its packets are copied, which costs seconds), watched,
and the process's largest resident set is read afterwards.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from benchmarks.films import DrawnFilm
from inference.machine import available_cpus, load_average, processor_name


def main() -> None:
    """Print speed, and memory where hours are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--yunet", type=Path)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--hours", type=float, default=0.0, help="of a film whose memory is measured (default: none)")
    parser.add_argument("--every", default="0.2")
    parser.add_argument("--film", type=Path, help="another film, in place of the drawn one")
    args = parser.parse_args()
    words = ["--every", args.every, *(["--yunet", str(args.yunet.resolve())] if args.yunet else [])]
    print(f"{processor_name()}, {available_cpus()} processors, load {load_average()}")
    with tempfile.TemporaryDirectory(prefix="ferox-benchmark-") as name:
        folder = Path(name)
        film = args.film or folder / "film.mp4"
        if args.film is None:
            DrawnFilm(4, args.seconds, 3).write(film)
        speeds = [watched(film, folder / f"out-{run}", words) for run in range(args.runs)]
        shown = ", ".join(f"{speed:.1f}" for speed, _ in speeds)
        print(f"speed: {shown} times real time; median {median(speed for speed, _ in speeds):.1f}")
        print(f"largest resident set: {max(memory for _, memory in speeds):.0f} MB")
        if args.hours:
            long = folder / "long.mp4"
            repeated(film, long, round(args.hours * 3600 / args.seconds))
            speed, memory = watched(long, folder / "out-long", words)
            print(f"{args.hours:g} h: {speed:.1f} times real time, largest resident set {memory:.0f} MB")
            print(f"its page has {(folder / 'out-long' / 'timeline.html').stat().st_size / 1e6:.1f} MB")


def watched(film: Path, out: Path, words: list[str]) -> tuple[float, float]:
    """Watch a film; return how many times faster than real time, and the largest resident set of a child so far, MB."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "ferox", "watch", str(film), "--out", str(out), *words]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    taken = time.perf_counter() - began
    (said,) = [line for line in done.stderr.splitlines() if line.startswith("read ")]
    print(f"  {said} ({taken:.1f} s with the start of the process)")
    return float(said.split(": ")[1].split()[0]), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def repeated(film: Path, path: Path, times: int) -> None:
    """Write a film that shows another one again and again, without coding anything."""
    import av

    with av.open(str(path), "w") as output:
        stream, shift = None, 0
        for _ in range(times):
            with av.open(str(film)) as source:
                pictures = source.streams.video[0]
                stream = stream or output.add_stream_from_template(pictures)
                end = shift
                for packet in source.demux(pictures):
                    if packet.dts is None or packet.pts is None:
                        continue
                    end = max(end, shift + packet.pts + (packet.duration or 0))
                    packet.pts, packet.dts, packet.stream = packet.pts + shift, packet.dts + shift, stream
                    output.mux(packet)
                shift = end


if __name__ == "__main__":
    main()
