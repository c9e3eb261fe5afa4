//! What calvaria does, a module for each behaviour or family. `CALVARIA_TESTS=full` runs every check at its full
//! length (see `common::full`).

mod common;

mod augment {
    mod classes;
    mod intensity;
    mod properties;
    mod sheet;
    mod spatial;
}
mod dataset {
    mod bids;
    mod helpers;
    mod inspection;
    mod masks;
    mod nfbs;
    mod pairs;
    mod pieces;
    mod results;
    mod several;
    mod table;
}
mod jobs {
    mod local;
    mod slurm;
}
mod kernels;
mod losses {
    mod classes;
    mod reference;
    mod segmentation_models;
}
mod metrics {
    mod distance;
    mod scores;
    mod structures;
}
mod models {
    mod monai;
    mod networks;
    mod nnunet;
    mod overfit;
    mod precision;
}
mod optimizers;
mod preprocess {
    mod cache;
    mod classes;
    mod grids;
    mod images;
    mod intensity;
    mod n4;
    mod onto;
    mod pieces;
}
mod program {
    mod calibration;
    mod check;
    mod compare;
    mod configs;
    mod devices;
    mod errors;
    mod pages;
    mod predict;
    mod robustness;
    mod structures;
    mod subcommands;
    mod task;
}
mod report {
    mod pages;
    mod plots;
    mod structures;
}
mod run {
    mod data;
    mod folder;
    mod init;
    mod library;
    mod postprocess;
    mod resume;
    mod training;
}
mod search {
    mod pareto;
    mod pruners;
    mod samplers;
    mod space;
}
mod settings {
    mod diagnostics;
    mod families;
    mod files;
    mod schema;
}
mod splits {
    mod errors;
    mod file;
    mod helpers;
    mod properties;
    mod runs;
    mod scikit_learn;
}
mod statistics;
mod sweep {
    mod importance;
    mod objectives;
    mod overrides;
    mod program;
    mod report;
    mod study;
}
mod synth;
mod tensorboard;
mod volume {
    mod forms;
    mod pieces;
    mod reading;
    mod resampling;
    mod smoothing;
    mod writing;
}
mod window;
