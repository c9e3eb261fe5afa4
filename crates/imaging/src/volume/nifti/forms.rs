//! How a header places its voxels: a qform and an sform, each with a code, and either may be missing.

use std::fmt;

use super::qform;
use crate::volume::{Affine, Grid};

/// Parts of a voxel by which two forms may differ before that is worth a word: what rounding leaves is less.
const ROUNDING: f64 = 0.01;

/// Distance in mm up to which two affines are the same: what float32 headers differ by.
const SAME_MM: f64 = 1e-3;

/// Which form of a header places its voxels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// Its sform, a whole affine.
    Sform,
    /// Its qform: a rotation, voxel sizes and an offset.
    Qform,
    /// Neither: which side is left is not known, and the first voxel is taken to lie at the origin.
    VoxelSizes,
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sform => "sform",
            Self::Qform => "qform",
            Self::VoxelSizes => "voxel sizes",
        })
    }
}

/// What a header states about its axes, as stored. Programs choose differently between the two forms, so a file
/// that is made from a scan gets both of the scan's, with their codes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Forms {
    /// Voxels along each axis.
    pub(super) shape: [usize; 3],
    /// The qform's handedness, then the voxel sizes.
    pub(super) pixdim: [f64; 4],
    pub(super) qform_code: i32,
    pub(super) quaternion: [f64; 3],
    pub(super) origin: [f64; 3],
    pub(super) sform_code: i32,
    pub(super) sform: [[f64; 4]; 3],
    /// The code of the units of space and time.
    pub(super) units: u8,
    /// How the scanner went through the voxels.
    pub(super) acquisition: Acquisition,
    /// Rounding of the numbers in the file.
    pub(super) epsilon: f64,
}

/// Which axes a scanner encoded how, and the order of its slices. Without effect here, and kept.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Acquisition {
    pub(super) dim_info: u8,
    pub(super) slice_start: i64,
    pub(super) slice_end: i64,
    pub(super) slice_code: u8,
    pub(super) slice_duration: f64,
}

/// The unit's code of mm.
const MM: u8 = 2;

/// Those bits of the units' code that are about space.
const SPACE: u8 = 7;

impl Forms {
    /// Two equal forms that place voxels as `grid` does, or the sform alone if the axes are sheared.
    pub fn of(grid: &Grid) -> Self {
        Self::new(grid, [1, 1], [&grid.affine; 2])
    }

    /// The forms of `grid` with these affines of the qform and the sform, in mm; those whose code is 0 do not count.
    fn new(
        grid: &Grid,
        [mut qform_code, sform_code]: [i32; 2],
        [qform, sform]: [&Affine; 2],
    ) -> Self {
        let turned = qform::encode(qform).filter(|_| qform_code > 0);
        if turned.is_none() {
            qform_code = 0;
        }
        let (quaternion, handedness) = turned.unwrap_or(([0.0; 3], 1.0));
        let sizes = match turned {
            Some(_) => qform.spacing(),
            None => grid.affine.spacing(),
        };
        let [x, y, z, _] = sform.0;
        Self {
            shape: grid.shape,
            pixdim: [handedness, sizes[0], sizes[1], sizes[2]],
            qform_code,
            quaternion,
            origin: match turned {
                Some(_) => qform.apply([0.0; 3]),
                None => [0.0; 3],
            },
            sform_code,
            sform: [x, y, z],
            units: MM,
            acquisition: Acquisition::default(),
            epsilon: f64::from(f32::EPSILON),
        }
    }

    /// Which form counts, by the standard's precedence, and its affine in mm.
    pub fn placement(&self) -> (Placement, Affine) {
        match (self.sform(), self.qform()) {
            (Some(sform), _) => (Placement::Sform, sform),
            (None, Some(qform)) => (Placement::Qform, qform),
            (None, None) => {
                let sizes = Affine::diagonal(self.sizes(), [0.0; 3]);
                (Placement::VoxelSizes, self.in_mm(sizes))
            }
        }
    }

    /// Every way in which a program may place the voxels, in words and as an affine in mm: by either form, or
    /// without any as ITK and as nibabel do.
    pub fn readings(&self) -> Vec<(&'static str, Affine)> {
        let forms = [("sform", self.sform()), ("qform", self.qform())];
        let forms: Vec<_> = forms
            .into_iter()
            .filter_map(|(name, affine)| Some((name, affine?)))
            .collect();
        if !forms.is_empty() {
            return forms;
        }
        let [x, y, z] = self.sizes();
        let middle = |axis: usize, size: f64| size * (self.shape[axis] as f64 - 1.0) / 2.0;
        let ours = Affine::diagonal([x, y, z], [0.0; 3]);
        let itk = Affine::diagonal([-x, -y, z], [0.0; 3]);
        let nibabel = Affine::diagonal([-x, y, z], [middle(0, x), -middle(1, y), -middle(2, z)]);
        [
            ("voxel sizes", ours),
            ("voxel sizes as ITK takes them", itk),
            ("voxel sizes as nibabel takes them", nibabel),
        ]
        .map(|(name, affine)| (name, self.in_mm(affine)))
        .into()
    }

    /// The forms of a volume on `grid` that was made from this scan, such that each program finds it where it finds
    /// the scan: these forms on the scan's own grid, else both moved in the same way.
    pub fn moved_to(&self, grid: &Grid) -> Self {
        let (placement, affine) = self.placement();
        if affine == grid.affine && (self.shape == grid.shape || placement != Placement::VoxelSizes)
        {
            return Self {
                shape: grid.shape,
                ..*self
            };
        }
        let step = match affine.inverse() {
            Some(inverse) if placement != Placement::VoxelSizes => inverse.mul(&grid.affine),
            _ => return Self::of(grid),
        };
        let moved = |name: Placement, form: Option<Affine>| match form {
            Some(_) if name == placement => grid.affine,
            Some(form) => form.mul(&step),
            None => grid.affine,
        };
        let qform = moved(Placement::Qform, self.qform());
        let sform = moved(Placement::Sform, self.sform());
        Self {
            units: (self.units & !SPACE) | MM,
            ..Self::new(grid, [self.qform_code, self.sform_code], [&qform, &sform])
        }
    }

    /// Whether the voxels of `other`, such as a mask, are those of this scan: they may lie up to `tolerance` voxels
    /// apart. `name` is the scan's in what is returned. Programs choose between a scan's two forms and write what they chose into both, so it is enough that
    /// the form that counts in one of the two files agrees with any of the other's. Returns what to report if they
    /// are not quite the same.
    ///
    /// # Errors
    ///
    /// How the two differ, in words.
    pub fn fits(&self, name: &str, other: &Self, tolerance: f64) -> Result<Option<String>, String> {
        if self.shape != other.shape {
            return Err(format!(
                "its shape is {:?}, {name}'s {:?}",
                other.shape, self.shape
            ));
        }
        let [(our_form, ours), (their_form, theirs)] = [self, other].map(Self::placement);
        let apart = |one: &Affine, other: &Affine| {
            let (shape, affine) = (self.shape, *one);
            Grid { shape, affine }.largest_offset(other)
        };
        let offset = apart(&ours, &theirs);
        let least = ours.spacing().into_iter().fold(f64::INFINITY, f64::min);
        let allowed = (tolerance * least).max(SAME_MM);
        if offset <= SAME_MM {
            return Ok(None);
        }
        if offset <= allowed {
            return Ok(Some(format!(
                "it lies up to {offset:.3} mm from {name}'s voxels, which is within {tolerance} voxels: it is taken \
                 voxel by voxel"
            )));
        }
        let found = |readings: &Self, fixed: &Affine| {
            let mut readings = readings.readings().into_iter();
            readings.find(|(_, affine)| apart(affine, fixed) <= allowed)
        };
        let by_ours = found(self, &theirs)
            .map(|(form, _)| format!("it agrees with {name}'s {form}, not with its {our_form}"));
        let by_theirs = || {
            let found = found(other, &ours);
            found.map(|(form, _)| {
                format!("{name} agrees with its {form}, not with its {their_form}")
            })
        };
        match by_ours.or_else(by_theirs) {
            Some(how) => Ok(Some(format!("{how}: it is taken voxel by voxel"))),
            None => Err(format!(
                "they place the same voxel up to {offset:.3} mm apart; its affine is {:?}, {name}'s {:?}",
                &theirs.0[..3],
                &ours.0[..3]
            )),
        }
    }

    /// What is doubtful about the placement though it can be used, in words.
    pub fn doubts(&self) -> Vec<String> {
        let mut doubts = Vec::new();
        let (placement, affine) = self.placement();
        let grid = Grid {
            shape: self.shape,
            affine,
        };
        let spacing = affine.spacing();
        if placement == Placement::VoxelSizes {
            doubts.push(
                "the header has neither sform nor qform: the voxel sizes are used, and which side \
                 is left is not known"
                    .to_owned(),
            );
        } else if let Some(sizes) = self.other_sizes(spacing) {
            let millimetres = |[x, y, z]: [f64; 3]| format!("{x:.3} x {y:.3} x {z:.3} mm");
            doubts.push(format!(
                "the header's voxel sizes are {}, but its {placement} has voxels of {}, which are used: \
                 volumes and distances depend on them. Correct the header if that is wrong",
                millimetres(sizes),
                millimetres(spacing)
            ));
        } else if let (Some(qform), Some(_)) = (self.qform(), self.sform()) {
            let apart = grid.largest_offset(&qform);
            let least = spacing.into_iter().fold(f64::INFINITY, f64::min);
            if apart > ROUNDING * least {
                doubts.push(format!(
                    "the header's two forms place the same voxel up to {apart:.1} mm apart: the sform is used, as \
                     in nibabel, while ITK, ANTs and Slicer may use the qform. Results keep both"
                ));
            }
        }
        if let Some((unit, _)) = self.other_unit() {
            doubts.push(format!(
                "the header's unit is {unit}: positions are converted to mm"
            ));
        }
        doubts
    }

    /// The header's voxel sizes in mm, if they are not `spacing`.
    fn other_sizes(&self, spacing: [f64; 3]) -> Option<[f64; 3]> {
        let scale = self.other_unit().map_or(1.0, |(_, scale)| scale);
        let sizes = self.sizes().map(|size| size * scale);
        let differ = |axis: usize| (sizes[axis] - spacing[axis]).abs() > ROUNDING * spacing[axis];
        (0..3).any(differ).then_some(sizes)
    }

    fn sizes(&self) -> [f64; 3] {
        [1, 2, 3].map(|axis| self.pixdim[axis].abs())
    }

    fn sform(&self) -> Option<Affine> {
        let [x, y, z] = self.sform;
        (self.sform_code > 0).then(|| self.in_mm(Affine([x, y, z, [0.0, 0.0, 0.0, 1.0]])))
    }

    fn qform(&self) -> Option<Affine> {
        let handedness = if self.pixdim[0] < 0.0 { -1.0 } else { 1.0 };
        let decoded = || {
            qform::decode(
                self.quaternion,
                self.sizes(),
                handedness,
                self.origin,
                self.epsilon,
            )
        };
        (self.qform_code > 0).then(|| self.in_mm(decoded()))
    }

    /// The unit of space if it is not mm, and its mm.
    fn other_unit(&self) -> Option<(&'static str, f64)> {
        match self.units & SPACE {
            1 => Some(("metres", 1e3)),
            3 => Some(("micrometres", 1e-3)),
            _ => None,
        }
    }

    fn in_mm(&self, affine: Affine) -> Affine {
        match self.other_unit() {
            Some((_, scale)) => Affine::diagonal([scale; 3], [0.0; 3]).mul(&affine),
            None => affine,
        }
    }
}
