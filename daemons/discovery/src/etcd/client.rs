//! Calls to one member of etcd. Each has a deadline: a member that hangs costs seconds, and then another one is asked.

use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use prost::Message;
use tokio::sync::mpsc;
use tokio_stream::{Stream, StreamExt as _, wrappers::ReceiverStream};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::metadata::MetadataValue;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Request, Streaming, client::Grpc};
use tonic_prost::ProstCodec;

use super::messages::{
    DeleteRangeRequest, Done, LeaseGrantRequest, LeaseRequest, LeaseResponse, PutRequest, RangeRequest,
    RangeResponse, WatchCreateRequest, WatchRequest, WatchResponse,
};
use crate::config::Credentials;

/// How long an answer may take: twice what a member needs that has just lost its leader.
const PATIENCE: Duration = Duration::from_secs(2);

/// A connection to one member.
#[derive(Clone)]
pub(crate) struct Client {
    channel: Channel,
}

impl Client {
    /// Connects, with the credentials as they are on disk now: they are renewed while this runs.
    pub(crate) async fn connect(url: &str, credentials: &Credentials) -> Result<Self> {
        let read = async |path| tokio::fs::read(path).await.with_context(|| format!("cannot read {path}"));
        let identity = Identity::from_pem(read(&credentials.cert).await?, read(&credentials.key).await?);
        let tls = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(read(&credentials.ca).await?))
            .identity(identity);
        let member = Endpoint::from_shared(url.to_owned())?
            .tls_config(tls)?
            .connect_timeout(PATIENCE)
            // A member without power says no goodbye.
            .http2_keep_alive_interval(PATIENCE)
            .keep_alive_timeout(PATIENCE)
            .keep_alive_while_idle(true);
        let channel = tokio::time::timeout(PATIENCE * 2, member.connect()).await.context("no answer")?;
        // The cause says what is wrong with the certificate, or that the port is closed.
        let channel = channel.map_err(|it| anyhow!("{}", causes(&it)))?;
        Ok(Self { channel })
    }

    /// All keys from `key` to before `range_end`, and the revision of etcd's data that they are of.
    pub(crate) async fn range(&self, key: &str, range_end: &str) -> Result<RangeResponse> {
        self.call("KV/Range", RangeRequest { key: key.into(), range_end: range_end.into() }).await
    }

    /// Writes a key that lives as long as a lease.
    pub(crate) async fn put(&self, key: &str, value: String, lease: i64) -> Result<()> {
        let request = PutRequest { key: key.into(), value: value.into(), lease };
        self.call::<_, Done>("KV/Put", request).await.map(drop)
    }

    /// Deletes a key; one that is gone already is no error.
    pub(crate) async fn delete(&self, key: &str) -> Result<()> {
        self.call::<_, Done>("KV/DeleteRange", DeleteRangeRequest { key: key.into() }).await.map(drop)
    }

    /// A new lease of so many seconds.
    pub(crate) async fn grant(&self, ttl: i64) -> Result<i64> {
        let lease: LeaseResponse = self.call("Lease/LeaseGrant", LeaseGrantRequest { ttl }).await?;
        Ok(lease.id)
    }

    /// A stream that keeps a lease alive; none: the lease is gone.
    pub(crate) async fn keep_alive(&self, id: i64) -> Result<Option<KeepAlive>> {
        let (send, requests) = mpsc::channel(1);
        // etcd begins to answer with the first request.
        send.send(LeaseRequest { id }).await?;
        let responses = self.stream("Lease/LeaseKeepAlive", ReceiverStream::new(requests)).await?;
        let mut lease = KeepAlive { id, send, responses };
        Ok(lease.answer().await?.then_some(lease))
    }

    /// What happens to keys from `key` to before `range_end`, beginning with a revision. It ends when the member has no leader.
    pub(crate) async fn watch(
        &self,
        key: &str,
        range_end: &str,
        start_revision: i64,
    ) -> Result<Streaming<WatchResponse>> {
        let create = WatchCreateRequest { key: key.into(), range_end: range_end.into(), start_revision };
        let first = tokio_stream::once(WatchRequest { create: Some(create) });
        // etcd ends the watch when the requests end.
        self.stream("Watch/Watch", first.chain(tokio_stream::pending())).await
    }

    async fn ready(&self) -> Result<Grpc<Channel>> {
        let mut grpc = Grpc::new(self.channel.clone());
        grpc.ready().await.map_err(|it| anyhow!("{}", causes(&it)))?;
        Ok(grpc)
    }

    async fn call<Q, A>(&self, method: &'static str, message: Q) -> Result<A>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let (codec, path) = (ProstCodec::<Q, A>::default(), path(method)?);
        let call = async { Ok(self.ready().await?.unary(Request::new(message), path, codec).await) };
        let response: Result<_> =
            tokio::time::timeout(PATIENCE, call).await.with_context(|| format!("{method}: no answer"))?;
        response?.map(tonic::Response::into_inner).map_err(|it| anyhow!("{method}: {}", it.message()))
    }

    async fn stream<Q, A>(
        &self,
        method: &'static str,
        messages: impl Stream<Item = Q> + Send + 'static,
    ) -> Result<Streaming<A>>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let (codec, path) = (ProstCodec::<Q, A>::default(), path(method)?);
        let mut request = Request::new(messages);
        request.metadata_mut().insert("hasleader", MetadataValue::from_static("true"));
        let call = async { Ok(self.ready().await?.streaming(request, path, codec).await) };
        let response: Result<_> =
            tokio::time::timeout(PATIENCE, call).await.with_context(|| format!("{method}: no answer"))?;
        response?.map(tonic::Response::into_inner).map_err(|it| anyhow!("{method}: {}", it.message()))
    }
}

/// A lease that is kept alive.
pub(crate) struct KeepAlive {
    id: i64,
    send: mpsc::Sender<LeaseRequest>,
    responses: Streaming<LeaseResponse>,
}

impl KeepAlive {
    /// Once more; whether the lease is still there.
    pub(crate) async fn once(&mut self) -> Result<bool> {
        self.send.try_send(LeaseRequest { id: self.id })?;
        self.answer().await
    }

    async fn answer(&mut self) -> Result<bool> {
        let answer = tokio::time::timeout(PATIENCE, self.responses.message()).await;
        let answer = answer.context("Lease/LeaseKeepAlive: no answer")??.context("the stream ended")?;
        Ok(answer.ttl > 0)
    }
}

fn path(method: &str) -> Result<PathAndQuery> {
    Ok(PathAndQuery::try_from(format!("/etcdserverpb.{method}"))?)
}

/// An error and what caused it, in a line.
fn causes(error: &dyn std::error::Error) -> String {
    let rest = std::iter::successors(error.source(), |it| it.source());
    rest.fold(error.to_string(), |text, it| format!("{text}: {it}"))
}
