//! CameraInfo: the pinhole camera of an image, and the message that accompanies a map.

use cooper_imaging::{Error, FrameHeader, Result};
use cooper_metric::{Distortion, Intrinsics, Roi};
use r2r::sensor_msgs::msg::{CameraInfo, RegionOfInterest};

use super::message::std_header;

/// How far the shapes (width over height) of an image and of its calibration may differ, as a share.
const SAME_SHAPE: f64 = 0.02;

/// Whether an image still has its lens's distortion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageKind {
    /// As the sensor took it: `k` and `d` hold.
    Raw,
    /// Without distortion: `p` holds.
    Rectified,
}

/// An image's calibration.
#[derive(Clone, Debug)]
pub struct Calibration {
    /// The pinhole camera that maps are unprojected with.
    pub intrinsics: Intrinsics,
    info: CameraInfo,
    kind: ImageKind,
}

impl Calibration {
    /// The calibration of an image of `size` (width, height). `k` and `p` are those of the full sensor (REP 104): region
    /// of interest and binning come first, and a remaining difference in size is a resize.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if `info` is not a usable calibration of such an image.
    pub fn new(info: &CameraInfo, kind: ImageKind, size: (u32, u32)) -> Result<Self> {
        let k: [f64; 9] = info.k.as_slice().try_into().unwrap_or_default();
        let (matrix, distortion) = match kind {
            ImageKind::Raw => (k, Distortion::read(&info.distortion_model, &info.d)?),
            ImageKind::Rectified => (left_of_p(info).unwrap_or(k), Distortion::None),
        };
        Ok(Self {
            intrinsics: image_intrinsics(info, &matrix, size)?.with_distortion(distortion),
            info: info.clone(),
            kind,
        })
    }

    /// The CameraInfo of a map with this header: of the map's own size, without binning and region of interest.
    pub fn message(&self, header: &FrameHeader) -> CameraInfo {
        let Self {
            intrinsics, info, ..
        } = self;
        let undistorted = CameraInfo {
            header: std_header(header),
            width: intrinsics.width,
            height: intrinsics.height,
            distortion_model: info.distortion_model.clone(),
            d: vec![0.0; info.d.len()],
            k: intrinsics.k().to_vec(),
            r: vec![1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
            p: projection(intrinsics, [0.0; 2]),
            binning_x: 0,
            binning_y: 0,
            roi: RegionOfInterest::default(),
        };
        let size = (intrinsics.width, intrinsics.height);
        if self.kind == ImageKind::Rectified {
            return undistorted;
        }
        // Of a raw image, p is the camera of its rectified image.
        match left_of_p(info).map(|p| image_intrinsics(info, &p, size)) {
            Some(Ok(rectified)) => CameraInfo {
                d: info.d.clone(),
                r: info.r.clone(),
                p: projection(
                    &rectified,
                    [3, 7]
                        .map(|i| info.p[i])
                        .map(|t| t * rectified.fx / info.p[0]),
                ),
                ..undistorted
            },
            _ => CameraInfo {
                d: info.d.clone(),
                ..undistorted
            },
        }
    }
}

/// The left three columns of `p`; none if it is not set.
fn left_of_p(info: &CameraInfo) -> Option<[f64; 9]> {
    let p: [f64; 12] = info.p.as_slice().try_into().ok()?;
    (p[0] != 0.0).then(|| [0, 1, 2, 4, 5, 6, 8, 9, 10].map(|i: usize| p[i]))
}

fn projection(intrinsics: &Intrinsics, [tx, ty]: [f64; 2]) -> Vec<f64> {
    let [fx, _, cx, _, fy, cy, ..] = intrinsics.k();
    vec![fx, 0.0, cx, tx, 0.0, fy, cy, ty, 0.0, 0.0, 1.0, 0.0]
}

/// The camera of an image of this size (width, height), from the full sensor's matrix.
fn image_intrinsics(
    info: &CameraInfo,
    matrix: &[f64; 9],
    (width, height): (u32, u32),
) -> Result<Intrinsics> {
    let roi = &info.roi;
    let roi = Roi {
        x_offset: roi.x_offset,
        y_offset: roi.y_offset,
        width: roi.width,
        height: roi.height,
    };
    let full = Intrinsics::from_k(matrix, info.width, info.height)?;
    let part = full.cropped(roi, [info.binning_x, info.binning_y])?;
    let shape = |width: u32, height: u32| f64::from(width) / f64::from(height);
    if (shape(width, height) / shape(part.width, part.height) - 1.0).abs() > SAME_SHAPE {
        let why = format!(
            "expected one for the shape of the image's {width} x {height}, got {} x {}",
            part.width, part.height
        );
        return Err(Error::invalid("camera_info", why));
    }
    part.scaled_to(width, height)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(width: u32, height: u32) -> CameraInfo {
        CameraInfo {
            width,
            height,
            distortion_model: "plumb_bob".into(),
            d: vec![0.1, 0.0, 0.0, 0.0, 0.0],
            k: vec![500.0, 0.0, 319.5, 0.0, 510.0, 239.5, 0.0, 0.0, 1.0],
            r: vec![1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
            p: vec![
                400.0, 0.0, 309.5, -40.0, 0.0, 410.0, 229.5, 0.0, 0.0, 0.0, 1.0, 0.0,
            ],
            ..CameraInfo::default()
        }
    }

    #[test]
    fn a_raw_image_has_k_and_a_rectified_one_p() {
        let raw = Calibration::new(&info(640, 480), ImageKind::Raw, (640, 480)).unwrap();
        assert_eq!((raw.intrinsics.fx, raw.intrinsics.cy), (500.0, 239.5));
        let message = raw.message(&FrameHeader::default());
        assert_eq!(
            (message.k, message.p, message.d),
            (info(0, 0).k, info(0, 0).p, info(0, 0).d)
        );
        let rectified =
            Calibration::new(&info(640, 480), ImageKind::Rectified, (640, 480)).unwrap();
        assert_eq!(
            (rectified.intrinsics.fx, rectified.intrinsics.cy),
            (400.0, 229.5)
        );
        let message = rectified.message(&FrameHeader::default());
        assert_eq!(
            (message.k[0], message.p[0], message.p[3]),
            (400.0, 400.0, 0.0)
        );
        assert_eq!(message.d, [0.0; 5]);
        let unset = CameraInfo {
            p: vec![0.0; 12],
            ..info(640, 480)
        };
        for kind in [ImageKind::Raw, ImageKind::Rectified] {
            let calibration = Calibration::new(&unset, kind, (640, 480)).unwrap();
            let message = calibration.message(&FrameHeader::default());
            assert_eq!((calibration.intrinsics.fx, message.p[0]), (500.0, 500.0));
        }
    }

    #[test]
    fn another_size_scales_all_fields() {
        let half = Calibration::new(&info(640, 480), ImageKind::Raw, (320, 240)).unwrap();
        let message = half.message(&FrameHeader::default());
        assert_eq!((message.width, message.height), (320, 240));
        assert_eq!((message.k[0], message.k[2]), (250.0, 159.5));
        assert_eq!(
            (message.p[0], message.p[2], message.p[3]),
            (200.0, 154.5, -20.0)
        );
        let binned = CameraInfo {
            binning_x: 2,
            binning_y: 2,
            roi: RegionOfInterest {
                x_offset: 320,
                y_offset: 240,
                width: 320,
                height: 240,
                do_rectify: false,
            },
            ..info(640, 480)
        };
        let part = Calibration::new(&binned, ImageKind::Raw, (160, 120)).unwrap();
        assert_eq!((part.intrinsics.fx, part.intrinsics.cx), (250.0, -0.5));
        assert_eq!(part.message(&FrameHeader::default()).binning_x, 0);
    }

    #[test]
    fn a_calibration_of_another_image_is_rejected() {
        let error = |info: &CameraInfo| {
            Calibration::new(info, ImageKind::Raw, (64, 48))
                .unwrap_err()
                .to_string()
        };
        assert!(error(&info(480, 480)).ends_with("shape of the image's 64 x 48, got 480 x 480"));
        assert!(error(&CameraInfo::default()).contains("the camera is not calibrated"));
        assert!(error(&info(0, 0)).contains("expected a size"));
    }
}
