#include "cache-daemon/api/admin_http.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include <chrono>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/unique_fd.h"
#include "cache-daemon/api/admin_host.h"
#include "test/cache-daemon/api/fake_engine.h"

namespace weighhouse::api {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

class AdminHttpTest : public ::testing::Test {
 protected:
  AdminHttpTest() { Start("127.0.0.1:0"); }

  void Start(const std::string& address) {
    Result<std::unique_ptr<AdminHttp>> http =
        AdminHttp::Start(*ListenAddress::Parse(address), pages_);
    ASSERT_TRUE(http) << http.error().message;
    http_ = std::move(*http);
  }
  UniqueFd Connect() {
    UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(http_->address().port);
    ::inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&to), sizeof(to)), 0);
    return fd;
  }
  /// Sends as much of `text` as the server takes.
  static void Send(const UniqueFd& fd, std::string_view text) {
    while (!text.empty()) {
      ssize_t sent = ::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL);
      if (sent <= 0) return;
      text.remove_prefix(static_cast<size_t>(sent));
    }
  }
  /// What comes until the server closes the connection.
  static std::string Rest(const UniqueFd& fd) {
    std::string all;
    std::array<char, 4096> piece{};
    ssize_t size = 0;
    while ((size = ::recv(fd.get(), piece.data(), piece.size(), 0)) > 0) {
      all.append(piece.data(), static_cast<size_t>(size));
    }
    return all;
  }
  std::string Ask(const std::string& request) {
    UniqueFd fd = Connect();
    Send(fd, request);
    return Rest(fd);
  }
  std::string Get(const std::string& path, const std::string& headers = "") {
    return Ask("GET " + path + " HTTP/1.1\r\nHost: node\r\n" + headers + "\r\n");
  }

  metrics::Registry registry_;
  AdminPages pages_{registry_};
  FakeEngine engine_;
  std::unique_ptr<AdminHttp> http_;
};

TEST_F(AdminHttpTest, ServesTheThreePagesOnOnePort) {
  registry_.Counters("weighhouse_things_total", "Things.").Add({});
  std::string metrics = Get("/metrics");
  EXPECT_THAT(metrics, StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(metrics, HasSubstr("Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
  EXPECT_THAT(metrics, HasSubstr("\nweighhouse_things_total 1\n"));
  EXPECT_THAT(Get("/healthz"), StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(Get("/readyz"), StartsWith("HTTP/1.1 503 "));
  pages_.Attach(engine_, nullptr);
  EXPECT_THAT(Get("/readyz"), StartsWith("HTTP/1.1 200 "));
  EXPECT_TRUE(Get("/readyz?verbose").ends_with("\r\n\r\nok\n"));
}

TEST_F(AdminHttpTest, ServesNothingElse) {
  for (const char* path : {"//", "/metrics/", "/../metrics", "/debug", "/api/v1/", "/status.js"}) {
    EXPECT_THAT(Get(path), StartsWith("HTTP/1.1 404 ")) << path;
  }
  EXPECT_THAT(Ask("POST /metrics HTTP/1.1\r\nHost: node\r\nContent-Length: 1000000\r\n\r\nx=1"),
              StartsWith("HTTP/1.1 405 "));
  EXPECT_THAT(Ask("HEAD /metrics HTTP/1.1\r\nHost: node\r\n\r\n"),
              Not(HasSubstr("weighhouse_build_info")));
}

TEST_F(AdminHttpTest, ServesTheStatusPageToBrowsersThatDoNothingElseWithIt) {
  std::string page = Get("/");
  EXPECT_THAT(page, StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(page, HasSubstr("Content-Type: text/html; charset=utf-8\r\n"));
  EXPECT_THAT(page, HasSubstr("Content-Security-Policy: default-src 'none'; style-src 'sha256-"));
  EXPECT_THAT(page, HasSubstr("frame-ancestors 'none'"));
  EXPECT_THAT(page, HasSubstr("X-Content-Type-Options: nosniff\r\n"));
  EXPECT_THAT(page, HasSubstr("Referrer-Policy: no-referrer\r\n"));
  EXPECT_THAT(page, HasSubstr("Cache-Control: no-store\r\n"));
  EXPECT_TRUE(page.ends_with("</html>\n"));
  EXPECT_EQ(Get("/status").substr(Get("/status").find("\r\n\r\n")),
            page.substr(page.find("\r\n\r\n")));
  std::string head = Ask("HEAD / HTTP/1.1\r\nHost: node\r\n\r\n");
  EXPECT_THAT(head, HasSubstr("Content-Security-Policy: default-src 'none'; style-src"));
  EXPECT_TRUE(head.ends_with("\r\n\r\n"));
  EXPECT_THAT(Ask("POST / HTTP/1.1\r\nHost: node\r\nContent-Length: 0\r\n\r\n"),
              StartsWith("HTTP/1.1 405 "));
}

TEST_F(AdminHttpTest, ServesTheStatusDocument) {
  std::string starting = Get("/api/v1/status");
  EXPECT_THAT(starting, StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(starting, HasSubstr("Content-Type: application/json\r\n"));
  EXPECT_THAT(starting, HasSubstr("Content-Security-Policy: default-src 'none'; frame-ancestors"));
  EXPECT_THAT(starting, HasSubstr("\"phase\":\"starting\""));
  EXPECT_THAT(starting, Not(HasSubstr("Access-Control"))) << "other sites' pages may not read it";
  pages_.Attach(engine_, nullptr);
  EXPECT_THAT(Get("/api/v1/status?x=1"), HasSubstr("\"phase\":\"serving\""));
}

TEST_F(AdminHttpTest, NamesAreNotShownToAStrangersPage) {
  AdminPages named(registry_, {.details = Details::kShown});
  auto rebound = [this](const std::string& path) {
    return Ask("GET " + path + " HTTP/1.1\r\nHost: evil.example:9899\r\n\r\n");
  };
  EXPECT_THAT(rebound("/api/v1/status"), StartsWith("HTTP/1.1 200 ")) << "it names nothing";
  Result<std::unique_ptr<AdminHttp>> http =
      AdminHttp::Start(*ListenAddress::Parse("127.0.0.1:0"), named);
  ASSERT_TRUE(http);
  http_ = std::move(*http);
  std::string refused = rebound("/api/v1/status");
  EXPECT_THAT(refused, StartsWith("HTTP/1.1 421 "));
  EXPECT_THAT(refused, HasSubstr("not shown to 'evil.example:9899'"));
  EXPECT_THAT(refused, Not(HasSubstr("phase")));
  EXPECT_THAT(rebound("/metrics"), StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(Get("/api/v1/status"), StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(Ask("GET /api/v1/status HTTP/1.0\r\n\r\n"), HasSubstr(" 200 ")) << "no browser";
  http_.reset();
}

TEST(AdminHostTest, AddressesAndNamesThatTheInternetHasNot) {
  for (const char* host :
       {"", "localhost", "LocalHost:9899", "127.0.0.1:9899", "10.1.2.3", "[::1]:9899", "[fd00::1]",
        "weighhouse", "node-1:80", "weighhouse.weighhouse-system.svc",
        "weighhouse.ns.svc.cluster.local:9899", "ip-10-0-0-1.ec2.internal."}) {
    EXPECT_TRUE(IsHostOfTheCluster(host)) << host;
  }
  for (const char* host :
       {"evil.example", "evil.example:9899", "EVIL.EXAMPLE.", "127.0.0.1.evil.example", "[evil]",
        "[::1.evil.example", "localhost.evil.example", "1.2.3.4.5", "notlocal.example"}) {
    EXPECT_FALSE(IsHostOfTheCluster(host)) << host;
  }
}

TEST_F(AdminHttpTest, SaysWhichPortWasFree) {
  EXPECT_EQ(http_->address().host, "127.0.0.1");
  EXPECT_NE(http_->address().port, 0);
}

TEST_F(AdminHttpTest, WithoutAHostItListensOnEveryAddress) {
  Start(":0");
  EXPECT_THAT(Get("/healthz"), StartsWith("HTTP/1.1 200 ")) << "by IPv4";
}

TEST_F(AdminHttpTest, APortThatIsTakenIsRefused) {
  Result<std::unique_ptr<AdminHttp>> second = AdminHttp::Start(http_->address(), pages_);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Code::kFailedPrecondition);
  EXPECT_EQ(second.error().message,
            "listen on " + http_->address().ToString() +
                ": Address already in use: give another address, or 'off', as admin.listen");
}

TEST_F(AdminHttpTest, AnAddressOfAnotherMachineIsRefused) {
  Result<std::unique_ptr<AdminHttp>> elsewhere =
      AdminHttp::Start({.host = "192.0.2.1", .port = 9899}, pages_);
  ASSERT_FALSE(elsewhere);
  EXPECT_THAT(elsewhere.error().message, HasSubstr("listen on 192.0.2.1:9899: "));
  EXPECT_THAT(elsewhere.error().message, HasSubstr("admin.listen"));
}

TEST_F(AdminHttpTest, ARequestThatDoesNotEndIsCutOff) {
  // Far more than the sockets hold: the server must have closed the connection.
  std::string endless(64 * kMiB, 'a');
  EXPECT_THAT(Ask(endless), AnyOf(IsEmpty(), StartsWith("HTTP/1.1 4")));
  std::string headers = "GET /metrics HTTP/1.1\r\n";
  while (headers.size() < 64 * kMiB) headers += "Name: value\r\n";
  EXPECT_THAT(Ask(headers), AnyOf(IsEmpty(), StartsWith("HTTP/1.1 4")));
  EXPECT_THAT(Get("/healthz"), StartsWith("HTTP/1.1 200 "));
}

TEST_F(AdminHttpTest, AnAnswerIsNotMultipliedByRanges) {
  std::string ranges = "Range: bytes=0-";
  for (int i = 0; i < 1000; ++i) ranges += ",0-";
  EXPECT_EQ(Get("/metrics", ranges + "\r\n").size(), Get("/metrics").size());
}

TEST_F(AdminHttpTest, ConnectionsThatSayNothingAreClosedAfterAWhile) {
  std::vector<UniqueFd> silent;
  for (int i = 0; i < 8; ++i) silent.push_back(Connect());
  for (const UniqueFd& fd : silent) EXPECT_EQ(Rest(fd), "");
  // Their places are free a moment after we saw their ends: long before the next time of silence.
  std::string answer;
  auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(2);
  while (answer.empty() && std::chrono::steady_clock::now() < deadline) answer = Get("/healthz");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 "));
}

}  // namespace
}  // namespace weighhouse::api
