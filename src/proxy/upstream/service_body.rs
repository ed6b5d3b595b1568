use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::timeout;

use crate::proxy::shared_stream::{BodySilence, StreamHandle};

/// Which bodies are gathered, in bytes, and how long that may take.
const SHORT: u64 = 16 << 10;
const GATHER_TIME: Duration = Duration::from_millis(100);

/// The body of a response of a service. A short one is read before anything is passed on.
pub(in crate::proxy) struct ServiceBody {
    /// What has been read already.
    gathered: VecDeque<Frame<Bytes>>,
    rest: Incoming,
    stream: StreamHandle,
    silence: BodySilence,
    /// The body ends here, whatever follows.
    end: Option<BodyEnd>,
}

type BodyEnd = Pin<Box<dyn Future<Output = ()>>>;

impl ServiceBody {
    pub fn new(rest: Incoming, stream: StreamHandle) -> ServiceBody {
        let (gathered, silence) = (VecDeque::new(), BodySilence::None);
        ServiceBody { gathered, rest, stream, silence, end: None }
    }

    /// Makes the body end, as if it were whole, when `end` comes.
    pub fn end_at(&mut self, end: impl Future<Output = ()> + 'static) {
        self.end = Some(Box::pin(end));
    }

    /// Reads a body that is known to be short. Head and body then need one write, and the client gets
    /// nothing of a response that is cut off. Long ones and streams stay as they are.
    ///
    /// # Errors
    /// It is cut off.
    pub async fn gather(&mut self) -> Result<(), hyper::Error> {
        let is_short = self.rest.size_hint().exact().is_some_and(|size| size <= SHORT);
        if !is_short {
            return Ok(());
        }
        let all = async {
            while !self.rest.is_end_stream()
                && let Some(frame) = poll_fn(|cx| self.poll_rest(cx)).await
            {
                self.gathered.push_back(frame?);
            }
            Ok(())
        };
        // What is slow is passed on as it comes.
        timeout(GATHER_TIME, all).await.unwrap_or(Ok(()))
    }

    fn poll_rest(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = Pin::new(&mut self.rest).poll_frame(cx);
        match frame {
            Poll::Pending => self.silence.goes_on(&self.stream, cx),
            Poll::Ready(_) => self.silence = BodySilence::None,
        }
        frame
    }
}

impl Body for ServiceBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = self.get_mut();
        if this.end.as_mut().is_some_and(|end| end.as_mut().poll(cx).is_ready()) {
            // It is not polled again.
            this.end = None;
            return Poll::Ready(None);
        }
        match this.gathered.pop_front() {
            Some(frame) => Poll::Ready(Some(Ok(frame))),
            None => this.poll_rest(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.gathered.is_empty() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let gathered = self.gathered.iter().filter_map(Frame::data_ref);
        let gathered: u64 = gathered.map(|data| data.len() as u64).sum();
        let mut hint = self.rest.size_hint();
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper + gathered);
        }
        hint.set_lower(hint.lower() + gathered);
        hint
    }
}
