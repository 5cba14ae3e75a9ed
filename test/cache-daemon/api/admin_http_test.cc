#include "cache-daemon/api/admin_http.h"

#include <arpa/inet.h>
#include <httplib.h>
#include <sys/socket.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/unique_fd.h"
#include "test/cache-daemon/api/fake_engine.h"

namespace weighhouse::api {
namespace {

using ::testing::HasSubstr;

class AdminHttpTest : public ::testing::Test {
 protected:
  AdminHttpTest() { Start("127.0.0.1:0"); }

  void Start(const std::string& address) {
    Result<std::unique_ptr<AdminHttp>> http =
        AdminHttp::Start(*ListenAddress::Parse(address), pages_);
    ASSERT_TRUE(http) << http.error().message;
    http_ = std::move(*http);
  }
  httplib::Result Get(const std::string& path) {
    return httplib::Client("127.0.0.1", http_->address().port).Get(path);
  }

  metrics::Registry registry_;
  AdminPages pages_{registry_};
  FakeEngine engine_;
  std::unique_ptr<AdminHttp> http_;
};

TEST_F(AdminHttpTest, ServesTheThreePagesOnOnePort) {
  registry_.Counters("weighhouse_things_total", "Things.").Add({});
  httplib::Result metrics = Get("/metrics");
  ASSERT_TRUE(metrics);
  EXPECT_EQ(metrics->status, 200);
  EXPECT_EQ(metrics->get_header_value("Content-Type"), "text/plain; version=0.0.4; charset=utf-8");
  EXPECT_THAT(metrics->body, HasSubstr("\nweighhouse_things_total 1\n"));
  EXPECT_EQ(Get("/healthz")->status, 200);
  EXPECT_EQ(Get("/readyz")->status, 503);
  pages_.Attach(engine_, nullptr);
  EXPECT_EQ(Get("/readyz")->status, 200);
  EXPECT_EQ(Get("/readyz")->body, "ok\n");
}

TEST_F(AdminHttpTest, ServesNothingElse) {
  for (const char* path : {"/", "/metrics/", "/../metrics", "/debug"}) {
    EXPECT_EQ(Get(path)->status, 404) << path;
  }
  httplib::Client client("127.0.0.1", http_->address().port);
  EXPECT_NE(client.Post("/metrics", "x=1", "text/plain")->status, 200);
}

TEST_F(AdminHttpTest, SaysWhichPortWasFree) {
  EXPECT_EQ(http_->address().host, "127.0.0.1");
  EXPECT_NE(http_->address().port, 0);
}

TEST_F(AdminHttpTest, WithoutAHostItListensOnEveryAddress) {
  Start(":0");
  EXPECT_EQ(Get("/healthz")->status, 200) << "by IPv4";
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

/// Connections that say nothing take all threads, for a while.
TEST_F(AdminHttpTest, AnswersAlsoWhileManySayNothing) {
  std::vector<UniqueFd> silent;
  for (int i = 0; i < 5; ++i) {
    UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(http_->address().port);
    ::inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
    ASSERT_EQ(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&to), sizeof(to)), 0);
    silent.push_back(std::move(fd));
  }
  httplib::Client client("127.0.0.1", http_->address().port);
  client.set_read_timeout(60);
  httplib::Result health = client.Get("/healthz");
  ASSERT_TRUE(health) << httplib::to_string(health.error());
  EXPECT_EQ(health->status, 200);
}

}  // namespace
}  // namespace weighhouse::api
