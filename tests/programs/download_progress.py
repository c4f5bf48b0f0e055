"""Shows the progress of a download, with a class of its own that the callbacks belong to."""

import sys

import lmstudio as lms


class Bar:
    """Draws a bar for each report."""

    def __init__(self, option):
        self.option = option
        self.updates = []

    def on_progress(self, update: lms.DownloadProgressUpdate) -> None:
        self.updates.append(update)
        share = update.downloaded_bytes / update.total_bytes
        bar = "#" * round(20 * share)
        print(f"{self.option.info.quantization} [{bar:20}] {share:4.0%}")

    def on_finalize(self) -> None:
        print(f"{self.option.info.quantization} verifying")


with lms.Client(sys.argv[1]) as client:
    (model,) = client.repository.search_models("tiny")
    for option in model.get_download_options():
        bar = Bar(option)
        key = option.download(bar.on_progress, bar.on_finalize)
        first, last = bar.updates[0], bar.updates[-1]
        print(key, first, last.to_dict(), last.speed_bytes_per_second > 0)
        print(first == lms.DownloadProgressUpdate.from_dict(first.to_dict()), first == last)
    sizes = []
    print(option.download(on_progress=lambda update: sizes.append(update.downloaded_bytes)))
    print(sizes == sorted(sizes), sizes[-1] == option.info.size_bytes)
    print(option.download(on_finalize=lambda: print("done")))
