//! The settings of a node whose larger bodies lie in an object store behind a proxy.

use std::path::{Path, PathBuf};

use servers::azurite::{self, Azurite};
use servers::seaweedfs::{self, SeaweedFs};
use servers::{BUCKET, Proxy, Tls};

/// An object store behind a proxy, and the file with the settings for it.
pub struct Bodies {
    /// What stands between.
    pub proxy: Proxy,
    /// What stands before that, for a node that speaks TLS.
    pub tls: Option<Tls>,
    file: PathBuf,
    _dir: tempfile::TempDir,
    _server: Box<dyn std::any::Any>,
}

impl Bodies {
    /// In S3, as SeaweedFS speaks it; `None` where that is not installed.
    ///
    /// # Errors
    /// When the settings cannot be written.
    pub fn s3() -> anyhow::Result<Option<Self>> {
        let Some(server) = SeaweedFs::start() else { return Ok(None) };
        let proxy = Proxy::start(server.address());
        let settings = format!(
            "kind = \"s3\"\ntimeout = \"2 s\"\n[s3]\nbucket = {BUCKET:?}\nregion = \"us-east-1\"\nroot = \"godwit\"\n\
             endpoint = \"http://{}\"\naccess_key_id = {:?}\nsecret_access_key.file = \"KEY\"\n",
            proxy.address(),
            seaweedfs::ACCESS_KEY_ID
        );
        Self::new(Box::new(server), proxy, &settings, seaweedfs::SECRET_ACCESS_KEY).map(Some)
    }

    /// In Azure Blob Storage, as Azurite speaks it; `None` where that is not installed.
    ///
    /// # Errors
    /// When the settings cannot be written.
    pub fn azure() -> anyhow::Result<Option<Self>> {
        let Some(server) = Azurite::start() else { return Ok(None) };
        let proxy = Proxy::start(server.address());
        let settings = format!(
            "kind = \"azblob\"\ntimeout = \"2 s\"\n[azblob]\ncontainer = {BUCKET:?}\nroot = \"godwit\"\n\
             endpoint = \"http://{}/{account}\"\naccount = {account:?}\naccount_key.file = \"KEY\"\n",
            proxy.address(),
            account = azurite::ACCOUNT
        );
        Self::new(Box::new(server), proxy, &settings, azurite::KEY).map(Some)
    }

    /// The same through TLS, with a certificate that a node trusts by [`Bodies::environment`].
    ///
    /// # Errors
    /// When the settings cannot be written.
    pub fn with_tls(mut self) -> anyhow::Result<Self> {
        let tls = Tls::start(self.proxy.address());
        let clear = format!("http://{}", self.proxy.address());
        let settings = std::fs::read_to_string(&self.file)?;
        std::fs::write(&self.file, settings.replace(&clear, &format!("https://localhost:{}", tls.port())))?;
        self.tls = Some(tls);
        Ok(self)
    }

    /// For [`crate::NodeOptions::environment`].
    pub fn environment(&self) -> Vec<(String, String)> {
        let trusted = |tls: &Tls| ("SSL_CERT_FILE".to_owned(), tls.certificate().display().to_string());
        self.tls.iter().map(trusted).collect()
    }

    fn new(
        server: Box<dyn std::any::Any>,
        proxy: Proxy,
        settings: &str,
        secret: &str,
    ) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let (file, key) = (dir.path().join("blob.toml"), dir.path().join("key"));
        std::fs::write(&key, format!("{secret}\n"))?;
        std::fs::write(&file, settings.replace("KEY", &key.display().to_string()))?;
        Ok(Self { proxy, tls: None, file, _dir: dir, _server: server })
    }

    /// For [`crate::NodeOptions::blob`].
    pub fn settings(&self) -> &Path {
        &self.file
    }
}
