"""The page's texts, in the languages that it speaks, and which of them a browser asks for."""

from typing import Final

from msgspec import Struct


class Texts(Struct, frozen=True, kw_only=True):
    """`code`: BCP 47. `{topic}` stands for the topic's name."""

    code: str
    title: str
    emails_to: str
    subscribed: str
    unsubscribed: str
    unsubscribe: str
    subscribe: str
    unsubscribe_all: str
    subscribe_all: str
    gone: str
    gone_all: str
    back: str
    back_all: str
    undo: str
    other_mail: str
    bad_title: str
    bad_link: str
    failed_title: str
    failed: str


ENGLISH: Final = Texts(
    code="en",
    title="Your email subscriptions",
    emails_to="Emails to",
    subscribed="You get these emails.",
    unsubscribed="You don’t get these emails.",
    unsubscribe="Unsubscribe",
    subscribe="Subscribe again",
    unsubscribe_all="Unsubscribe from everything",
    subscribe_all="Allow emails again",
    gone="Done. You will get no more emails about “{topic}”.",
    gone_all="Done. You will get no more emails that one can unsubscribe from.",
    back="Done. You will get emails about “{topic}” again.",
    back_all="Done. Emails are allowed again.",
    undo="Undo",
    other_mail="Receipts, password resets and the like are not affected.",
    bad_title="This link does not work any more",
    bad_link="It is older than 13 months or not complete. Use the link of a newer email, or answer the"
    " sender.",
    failed_title="That did not work",
    failed="Please try again in a minute.",
)
GERMAN: Final = Texts(
    code="de",
    title="Ihre E-Mail-Abonnements",
    emails_to="E-Mails an",
    subscribed="Sie erhalten diese E-Mails.",
    unsubscribed="Sie erhalten diese E-Mails nicht.",
    unsubscribe="Abbestellen",
    subscribe="Wieder abonnieren",
    unsubscribe_all="Alles abbestellen",
    subscribe_all="E-Mails wieder erlauben",
    gone="Erledigt. Sie erhalten keine E-Mails mehr zu „{topic}“.",
    gone_all="Erledigt. Sie erhalten keine E-Mails mehr, die man abbestellen kann.",
    back="Erledigt. Sie erhalten wieder E-Mails zu „{topic}“.",
    back_all="Erledigt. E-Mails sind wieder erlaubt.",
    undo="Rückgängig",
    other_mail="Belege, Passwort-Mails und Ähnliches sind nicht betroffen.",
    bad_title="Dieser Link funktioniert nicht mehr",
    bad_link="Er ist älter als 13 Monate oder unvollständig. Nutzen Sie den Link einer neueren E-Mail, oder"
    " antworten Sie dem Absender.",
    failed_title="Das hat nicht geklappt",
    failed="Bitte versuchen Sie es in einer Minute noch einmal.",
)
FRENCH: Final = Texts(
    code="fr",
    title="Vos abonnements",
    emails_to="E-mails à",
    subscribed="Vous recevez ces e-mails.",
    unsubscribed="Vous ne recevez pas ces e-mails.",
    unsubscribe="Se désabonner",
    subscribe="Se réabonner",
    unsubscribe_all="Se désabonner de tout",
    subscribe_all="Autoriser de nouveau les e-mails",
    gone="C’est fait. Vous ne recevrez plus d’e-mails « {topic} ».",
    gone_all="C’est fait. Vous ne recevrez plus d’e-mails dont on peut se désabonner.",
    back="C’est fait. Vous recevrez de nouveau les e-mails « {topic} ».",
    back_all="C’est fait. Les e-mails sont de nouveau autorisés.",
    undo="Annuler",
    other_mail="Les reçus, les mots de passe et autres messages de service ne sont pas concernés.",
    bad_title="Ce lien ne fonctionne plus",
    bad_link="Il a plus de 13 mois ou est incomplet. Utilisez le lien d’un e-mail plus récent, ou répondez à"
    " l’expéditeur.",
    failed_title="Cela n’a pas fonctionné",
    failed="Réessayez dans une minute.",
)
SPANISH: Final = Texts(
    code="es",
    title="Sus suscripciones",
    emails_to="Correos a",
    subscribed="Usted recibe estos correos.",
    unsubscribed="Usted no recibe estos correos.",
    unsubscribe="Cancelar la suscripción",
    subscribe="Volver a suscribirse",
    unsubscribe_all="Cancelar todas las suscripciones",
    subscribe_all="Volver a permitir correos",
    gone="Listo. Ya no recibirá correos sobre «{topic}».",
    gone_all="Listo. Ya no recibirá correos de los que se puede dar de baja.",
    back="Listo. Volverá a recibir correos sobre «{topic}».",
    back_all="Listo. Los correos vuelven a estar permitidos.",
    undo="Deshacer",
    other_mail="Los recibos, las contraseñas y otros mensajes de servicio no se ven afectados.",
    bad_title="Este enlace ya no funciona",
    bad_link="Tiene más de 13 meses o está incompleto. Use el enlace de un correo más reciente, o responda al"
    " remitente.",
    failed_title="No ha funcionado",
    failed="Inténtelo de nuevo dentro de un minuto.",
)
LANGUAGES: Final = {texts.code: texts for texts in (ENGLISH, GERMAN, FRENCH, SPANISH)}


def choose(accept_language: str) -> Texts:
    """The language that the header prefers among those there are; English where it prefers none.

    Source: https://www.rfc-editor.org/rfc/rfc9110#section-12.5.4
    """
    best, code = 0.0, ENGLISH.code
    for part in accept_language[:1000].split(","):
        language, _, parameters = part.partition(";")
        primary, quality = language.strip().lower().partition("-")[0], _quality(parameters)
        if primary in LANGUAGES and quality > best:
            best, code = quality, primary
    return LANGUAGES[code]


def _quality(parameters: str) -> float:
    name, _, value = parameters.strip().partition("=")
    try:
        return float(value) if name == "q" else 1.0
    except ValueError:
        return 0.0
