//! RSET, VRFY, EXPN, HELP, NOOP, QUIT (RFC 5321 §4.1.1.5 to §4.1.1.10).

use smtp_proto::{Enhanced, Reply};

use super::{End, Session};

impl Session {
    pub(crate) fn rset(&mut self) -> Result<(), End> {
        self.transaction = None;
        self.ok("Reset")
    }

    pub(crate) fn noop(&mut self) -> Result<(), End> {
        self.ok("Nothing done")
    }

    fn ok(&mut self, text: &'static str) -> Result<(), End> {
        self.reply(&Reply::new(250, Enhanced::new(2, 0, 0), text));
        Ok(())
    }

    /// RFC 5321 §7.3: a site may keep its users' names to itself; 252 then.
    pub(crate) fn vrfy(&mut self) -> Result<(), End> {
        self.reply(&Reply::new(252, Enhanced::new(2, 5, 2), "Cannot verify, but will try to deliver"));
        Ok(())
    }

    /// RFC 5321 §7.3: and the members of its lists.
    pub(crate) fn expn(&mut self) -> Result<(), End> {
        self.refuse(&Reply::new(502, Enhanced::new(5, 5, 1), "Lists are not shown"))
    }

    pub(crate) fn help(&mut self) -> Result<(), End> {
        self.reply(&Reply::new(214, Enhanced::new(2, 0, 0), "See RFC 5321"));
        Ok(())
    }

    pub(crate) fn quit(&mut self) -> Result<(), End> {
        self.reply(&Reply::new(221, Enhanced::new(2, 0, 0), "Bye"));
        Err(End::Said)
    }
}
