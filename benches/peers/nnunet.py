"""nnU-Net on the CPU, with a length of training that is told.

Planning, preprocessing, augmentation, network, loss, optimizer, batch, patch and prediction are nnU-Net's own, with their
defaults, of its 3d_fullres configuration.  One thing is changed, the length of training: nnU-Net trains 1000 epochs of
250 iterations, which takes days on two cores.  Here it trains for a given wall time, and an epoch is a thousandth of that
time.  So its learning rate still falls along its polynomial in a thousand steps, and ends with the time, however fast the
machine is.  With a number of iterations an epoch is a thousandth of them.  What it does between epochs is left out,
because it takes time and changes no weight: the validation on patches, the plot, and the intermediate checkpoints.  The
weights at the end are those that count, as in nnU-Net.

nnU-Net compiles nothing on a CPU and computes in 32-bit floats there.  Augmentation is done in turn with the training, or
in worker processes beside it.
"""
import os
import resource
import shutil
import time

import timed
from timed import read, write

CONFIGURATION = "3d_fullres"
PACKAGES = ("nnunetv2", "torch", "batchgenerators", "batchgeneratorsv2", "dynamic_network_architectures", "acvl_utils",
            "numpy", "scipy", "scikit-image", "SimpleITK")


def environment(work, results, threads, workers):
    """What nnU-Net reads from the environment, all of its folders among it.

    Its planner takes the number of workers for the number of threads, and so none for a fault: `workers` are for training.
    """
    return {"nnUNet_raw": os.path.join(work, "raw"), "nnUNet_preprocessed": os.path.join(work, "preprocessed"),
            "nnUNet_results": results, "nnUNet_def_n_proc": str(threads), "nnUNet_n_proc_DA": str(workers)}


def prepare(dataset, cases, structures, plan_file, threads):
    """Raw folder, plans and preprocessed images, as nnU-Net makes them.  `cases` has an image and a map of labels for each id."""
    from nnunetv2.experiment_planning import plan_and_preprocess_api as api
    raw = os.path.join(os.environ["nnUNet_raw"], dataset)
    for side in ("imagesTr", "labelsTr"):
        os.makedirs(os.path.join(raw, side), exist_ok=True)
    for case, sources in cases.items():
        for source, copy in zip(sources, (f"imagesTr/{case}_0000", f"labelsTr/{case}")):
            shutil.copyfile(source, os.path.join(raw, copy + ".nii.gz"))
    write(os.path.join(raw, "dataset.json"), {
        "channel_names": {"0": "MRI"}, "labels": {"background": 0, **structures}, "numTraining": len(cases), "file_ending": ".nii.gz"})
    start = time.perf_counter()
    number = int(dataset[7:10])
    api.extract_fingerprints([number], num_processes=threads, check_dataset_integrity=True)
    name = api.plan_experiments([number])
    api.preprocess([number], name, [CONFIGURATION], [threads])
    plan = read(os.path.join(os.environ["nnUNet_preprocessed"], dataset, name + ".json"))["configurations"][CONFIGURATION]
    write(plan_file, {"seconds": time.perf_counter() - start, "name": name, "plan": plan})


def trainer_class():
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    class TimedTrainer(nnUNetTrainer):
        # Set by `trained`: the length of training, and the cases' ids.
        settings = split = None

        def do_split(self):
            return self.split

        def run_training(self):
            self.on_train_start()
            workers = int(os.environ["nnUNet_n_proc_DA"])
            # There is no validation on patches; its workers would only wait.
            if hasattr(self.dataloader_val, "_finish"):
                self.dataloader_val._finish()
            self.dataloader_val = None
            self.network.train()

            def step(part):
                self.lr_scheduler.step(int(self.num_epochs * part))
                return float(self.train_step(next(self.dataloader_train))["loss"])

            told = timed.train(step, self.settings, self.print_to_log_file)
            self.current_epoch = self.num_epochs
            self.on_train_end()
            return {**told, "batch_size": self.batch_size, "samples": told["iterations"] * self.batch_size,
                    # Without workers the largest child is a helper that was forked, and its size says nothing.
                    "worker_peak_mib": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024 if workers else None,
                    "parameters": sum(p.numel() for p in self.network.parameters())}

    return TimedTrainer


def trained(dataset, plan_name, fold, split, settings):
    """A trainer that has trained, now or in an earlier process, and what its training told."""
    import torch
    torch.set_num_threads(settings["threads"])
    preprocessed = os.path.join(os.environ["nnUNet_preprocessed"], dataset)
    plans = read(os.path.join(preprocessed, plan_name + ".json"))
    plans["continue_training"] = False
    trainer = trainer_class()(plans, CONFIGURATION, fold, read(os.path.join(preprocessed, "dataset.json")), torch.device("cpu"))
    trainer.settings, trainer.split = settings, split
    record = os.path.join(trainer.output_folder, "training.json")
    if os.path.exists(record):
        trainer.load_checkpoint(os.path.join(trainer.output_folder, "checkpoint_final.pth"))
    else:
        write(record, trainer.run_training())
    return trainer, read(record)


def predicted(trainer):
    """Predicts the validation cases: how long that took, and the folder of the maps, with nnU-Net's summary.json."""
    start = time.perf_counter()
    trainer.perform_actual_validation()
    return time.perf_counter() - start, os.path.join(trainer.output_folder, "validation")


def without_mirroring(trainer):
    """Predictions from now on without mirroring, which takes an eighth of the time, in a folder of their own."""
    trainer.inference_allowed_mirroring_axes = None
    trainer.output_folder = os.path.join(trainer.output_folder, "unmirrored")
