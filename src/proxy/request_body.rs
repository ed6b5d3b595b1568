use std::cell::{Cell, OnceCell, RefCell};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};

use super::recording::{MessageSide, Recording};
use super::shared_stream::{BodySilence, StreamHandle};

/// The body of a request while it is not known which connection will carry it. As long as nothing of
/// it was read, another connection can.
#[derive(Clone)]
pub(super) struct WaitingBody(Rc<BodyState>);

struct BodyState {
    incoming: RefCell<Incoming>,
    begun: Cell<bool>,
    recording: OnceCell<Recording>,
    client: StreamHandle,
    silence: Cell<BodySilence>,
}

impl BodyState {
    fn poll_frame(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let mut incoming = self.incoming.borrow_mut();
        let Poll::Ready(frame) = Pin::new(&mut *incoming).poll_frame(cx) else {
            let mut silence = self.silence.get();
            silence.goes_on(&self.client, cx);
            self.silence.set(silence);
            return Poll::Pending;
        };
        self.silence.set(BodySilence::None);
        self.begun.set(true);
        if let Some(recording) = self.recording.get() {
            recording.passed(MessageSide::Request, frame.as_ref(), incoming.is_end_stream());
        }
        Poll::Ready(frame)
    }
}

impl WaitingBody {
    /// Makes one of what comes over the connection `client`.
    pub fn new(incoming: Incoming, client: StreamHandle) -> WaitingBody {
        WaitingBody(Rc::new(BodyState {
            incoming: RefCell::new(incoming),
            begun: Cell::new(false),
            recording: OnceCell::new(),
            client,
            silence: Cell::new(BodySilence::None),
        }))
    }

    /// Whether a part was read, which is then not here any more.
    pub fn is_begun(&self) -> bool {
        self.0.begun.get()
    }

    /// Lets what passes be recorded.
    pub fn record(&self, recording: Recording) {
        if self.is_empty() {
            recording.passed::<hyper::Error>(MessageSide::Request, None, true);
        }
        // It is recorded once.
        let _ = self.0.recording.set(recording);
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.incoming.borrow().is_end_stream()
    }

    /// Reads and drops it, up to about `max` bytes.
    pub async fn discard(&self, max: usize) {
        let mut read = 0;
        while read < max
            && let Some(Ok(frame)) = poll_fn(|cx| self.0.poll_frame(cx)).await
        {
            read += frame.data_ref().map_or(0, Bytes::len);
        }
    }

    /// Returns it for one connection, which does not read it before `gate` resolves.
    pub fn for_connection(&self, gate: Option<BodyGate>) -> RequestBody {
        RequestBody { state: self.0.clone(), gate }
    }
}

/// Resolves when the server wants the body.
pub(super) type BodyGate = Pin<Box<dyn Future<Output = ()>>>;

/// The body of a request on one connection.
pub(super) struct RequestBody {
    state: Rc<BodyState>,
    gate: Option<BodyGate>,
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        if let Some(gate) = &mut self.gate {
            ready!(gate.as_mut().poll(cx));
            self.gate = None;
        }
        self.state.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.state.incoming.borrow().is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.state.incoming.borrow().size_hint()
    }
}
