//! The names of the ids in label images, as vision_msgs/LabelInfo, where the build found that package.

#[cfg(vision_msgs)]
pub use with_vision_msgs::LabelInfos;
#[cfg(not(vision_msgs))]
pub use without::LabelInfos;

#[cfg(vision_msgs)]
mod with_vision_msgs {
    use cooper_imaging::FrameHeader;
    use cooper_model::Result;
    use cooper_model::perception::Segmentation;
    use cooper_perception::config::interfaces;
    use r2r::vision_msgs::msg::{LabelInfo, VisionClass};
    use r2r::{Node, Publisher};

    use crate::{convert, topics};

    /// One camera's topic.
    pub struct LabelInfos(Publisher<LabelInfo>);

    impl LabelInfos {
        /// Advertise it.
        ///
        /// # Errors
        /// [`cooper_model::Error::Internal`] if the middleware rejects it.
        pub fn advertise(node: &mut Node, camera: &str) -> Result<Self> {
            topics::publisher(node, &interfaces::LABEL_INFO, camera).map(Self)
        }

        /// Whether the topic has subscribers.
        pub fn has_subscribers(&self) -> bool {
            topics::has_subscribers(&self.0)
        }

        /// Publish the ids of a segmentation, also without subscribers: the topic is latched.
        pub fn publish(&self, segmentation: &Segmentation, header: &FrameHeader) {
            let class = |region: &cooper_model::perception::Region| VisionClass {
                class_id: region.id,
                class_name: convert::message_text(region.name.as_deref().unwrap_or_default()),
            };
            let message = LabelInfo {
                header: convert::std_header(header),
                class_map: segmentation.regions.iter().map(class).collect(),
                // The model gives no probabilities.
                threshold: 0.0,
            };
            if let Err(error) = self.0.publish(&message) {
                tracing::warn!("cannot publish a label_info: {error}");
            }
        }
    }
}

#[cfg(not(vision_msgs))]
mod without {
    use cooper_imaging::FrameHeader;
    use cooper_model::Result;
    use cooper_model::perception::Segmentation;
    use cooper_perception::config::interfaces;
    use r2r::Node;

    /// The topic of one camera, which does not exist.
    pub struct LabelInfos;

    impl LabelInfos {
        /// Log that there is no topic.
        pub fn advertise(_node: &mut Node, camera: &str) -> Result<Self> {
            let topic = interfaces::LABEL_INFO.of(camera);
            tracing::info!("no {topic}: this node was built without vision_msgs");
            Ok(Self)
        }

        /// Always false.
        pub fn has_subscribers(&self) -> bool {
            false
        }

        /// Publishes nothing.
        pub fn publish(&self, _segmentation: &Segmentation, _header: &FrameHeader) {}
    }
}
